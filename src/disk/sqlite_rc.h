/* SPDX-License-Identifier: MIT */
/** The one table from SQLite's results to our statuses. */
#ifndef SKV_DISK_SQLITE_RC_H
#define SKV_DISK_SQLITE_RC_H

#include <spillkv/spillkv.h>

/** @param rc  a primary or extended SQLite result */
spillkv_status skv_status_of_sqlite(int rc);

#endif
