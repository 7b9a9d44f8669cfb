/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <sqlite3.h>

#include "disk/sqlite_rc.h"

Test(sqlite_rc, success_is_success)
{
    cr_expect_eq(skv_status_of_sqlite(SQLITE_OK), SPILLKV_OK);
    cr_expect_eq(skv_status_of_sqlite(SQLITE_ROW), SPILLKV_OK);
    cr_expect_eq(skv_status_of_sqlite(SQLITE_DONE), SPILLKV_OK);
}

Test(sqlite_rc, failures_keep_their_kind)
{
    cr_expect_eq(skv_status_of_sqlite(SQLITE_NOMEM), SPILLKV_ENOMEM);
    cr_expect_eq(skv_status_of_sqlite(SQLITE_IOERR_NOMEM), SPILLKV_ENOMEM);
    cr_expect_eq(skv_status_of_sqlite(SQLITE_FULL), SPILLKV_ENOSPC);
    cr_expect_eq(skv_status_of_sqlite(SQLITE_CORRUPT), SPILLKV_ECORRUPT);
    cr_expect_eq(skv_status_of_sqlite(SQLITE_CORRUPT_INDEX), SPILLKV_ECORRUPT);
    cr_expect_eq(skv_status_of_sqlite(SQLITE_NOTADB), SPILLKV_ECORRUPT);
    cr_expect_eq(skv_status_of_sqlite(SQLITE_IOERR), SPILLKV_EIO);
    cr_expect_eq(skv_status_of_sqlite(SQLITE_IOERR_WRITE), SPILLKV_EIO);
    cr_expect_eq(skv_status_of_sqlite(SQLITE_CANTOPEN), SPILLKV_EIO);
}

Test(sqlite_rc, no_other_result_is_success)
{
    for (int extended = 0; extended < 64; extended++) {
        for (int primary = 1; primary < 100; primary++) {
            cr_expect_lt(skv_status_of_sqlite(extended << 8 | primary), 0);
        }
    }
}
