/* SPDX-License-Identifier: MIT */
/*
 * DESIGN
 *
 * Callers can act on four failures: free memory, free disk, treat a place as damaged, or try again
 * later. Every SQLite result is one of these; what SQLite calls an error in the SQL, a lock or a
 * misuse cannot happen to a private file and would be no less a failure of the file to the caller.
 *
 * Invariant: no SQLite result but OK, ROW and DONE becomes SPILLKV_OK.
 */
#include "disk/sqlite_rc.h"

#include <sqlite3.h>

spillkv_status skv_status_of_sqlite(int rc)
{
    switch (rc) {
    case SQLITE_IOERR_NOMEM:
        return SPILLKV_ENOMEM;
    case SQLITE_IOERR_SHORT_READ:
#ifdef SQLITE_IOERR_CORRUPTFS
    case SQLITE_IOERR_CORRUPTFS:
#endif
#ifdef SQLITE_IOERR_DATA
    case SQLITE_IOERR_DATA:
#endif
        return SPILLKV_ECORRUPT;
    default:
        break;
    }
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return SPILLKV_OK;
    case SQLITE_NOMEM:
        return SPILLKV_ENOMEM;
    case SQLITE_FULL:
        return SPILLKV_ENOSPC;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return SPILLKV_ECORRUPT;
    default:
        return SPILLKV_EIO;
    }
}
