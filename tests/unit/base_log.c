/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "base/log.h"
#include "base/mutex.h"

struct heard {
    unsigned count;
    spillkv_log_level level;
    char line[2000];
};

static void hear(void *context, spillkv_log_level level, const char *message)
{
    struct heard *const heard = context;
    heard->count++;
    heard->level = level;
    (void)snprintf(heard->line, sizeof(heard->line), "%s", message);
}

Test(log, hands_the_formatted_line_to_the_host)
{
    struct heard heard = {0};
    const struct skv_log log = {hear, &heard};
    skv_log_write(&log, SPILLKV_LOG_WARNING, "shard %d: %s", 3, "disk full");
    cr_expect_eq(heard.count, 1);
    cr_expect_eq(heard.level, SPILLKV_LOG_WARNING);
    cr_expect_str_eq(heard.line, "shard 3: disk full");
}

Test(log, drops_what_cannot_be_formatted)
{
    /* Not a character of the C locale. */
    static const wchar_t unknown[] = {0xd800, 0};
    struct heard heard = {0};
    const struct skv_log log = {hear, &heard};
    skv_log_write(&log, SPILLKV_LOG_ERROR, "%ls", unknown);
    cr_expect_eq(heard.count, 0);
}

Test(log, drops_messages_when_nobody_listens)
{
    const struct skv_log log = {NULL, NULL};
    skv_log_write(&log, SPILLKV_LOG_ERROR, "%s", "unheard");
    skv_log_write(NULL, SPILLKV_LOG_ERROR, "%s", "unheard");
}

Test(log, writes_one_line_of_at_most_511_bytes)
{
    struct heard heard = {0};
    const struct skv_log log = {hear, &heard};
    char text[1000];
    memset(text, 'x', sizeof(text));
    text[0] = '\n';
    text[5] = '\r';
    text[sizeof(text) - 1] = '\0';
    skv_log_write(&log, SPILLKV_LOG_INFO, "%s", text);
    cr_expect_eq(strlen(heard.line), 511);
    cr_expect_null(strpbrk(heard.line, "\r\n"));
    cr_expect_eq(heard.line[510], 'x');
}

#if SKV_DEBUG_LEVEL >= 1
Test(log, aborts_when_a_lock_is_held, .signal = SIGABRT)
{
    struct skv_mutex mutex;
    cr_assert(skv_mutex_init(&mutex, SKV_RANK_SHARD));
    skv_mutex_lock(&mutex);
    skv_log_write(NULL, SPILLKV_LOG_INFO, "%s", "too early");
    skv_mutex_unlock(&mutex);
}
#endif
