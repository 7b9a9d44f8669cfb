/* SPDX-License-Identifier: MIT */
/** What a shard file is to SQLite: its settings, its one table, the mark that it is ours. */
#ifndef SKV_DISK_SCHEMA_H
#define SKV_DISK_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

#include <spillkv/spillkv.h>

#include "base/attributes.h"

struct sqlite3;

#define SKV_SCHEMA_APPLICATION_ID UINT32_C(0x53504b56) /* "SPKV" */
#define SKV_SCHEMA_PAGE_BYTES     8192
#define SKV_SCHEMA_CACHE_PAGES    16 /* of a new file */

/**
 * Makes an empty file a shard file: settings, table, and every setting read back.
 *
 * @param message  receives what went wrong; may be NULL
 * @return SPILLKV_OK; SPILLKV_ESYSTEM when this SQLite does not take a setting; or the failure
 */
SKV_MUST_CHECK spillkv_status skv_schema_create(struct sqlite3 *db, char *message,
                                                size_t message_size);

#endif
