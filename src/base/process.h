/* SPDX-License-Identifier: MIT */
/** What the system says of this process. */
#ifndef SKV_BASE_PROCESS_H
#define SKV_BASE_PROCESS_H

#include <stdint.h>

/** Bytes of anonymous memory that are resident; 0 if the system does not tell. */
uint64_t skv_process_rss(void);

#endif
