/* SPDX-License-Identifier: MIT */
/*
 * DESIGN
 *
 * When a transaction fails on the disk, SQLite undoes it with writes of its own. If the disk
 * refuses these too, the undo is lost with the in-memory journal and the file stays half written. A
 * journal file would survive, but costs a second write of every overwritten segment. Instead the
 * writes of an undo that fail are kept here and done when the disk works again. There are few: an
 * undo rewrites only pages that existed before the transaction.
 *
 * Invariant: file plus overlay is what SQLite believes the file to be. Writes never overlap in
 * part: SQLite writes whole pages, so a later write of a page replaces the earlier one.
 */
#include "disk/overlay.h"

#include <string.h>

#include "base/alloc.h"

struct skv_overlay_write {
    struct skv_overlay_write *next;
    int64_t offset;
    size_t size;
    uint8_t bytes[];
};

void skv_overlay_init(struct skv_overlay *overlay)
{
    *overlay = (struct skv_overlay){0};
}

static void drop_writes_from(struct skv_overlay *overlay, int64_t offset)
{
    struct skv_overlay_write **link = &overlay->writes;

    while (*link != NULL) {
        struct skv_overlay_write *write = *link;
        if (write->offset >= offset) {
            *link = write->next;
            skv_free(write);
        } else {
            link = &write->next;
        }
    }
}

void skv_overlay_fini(struct skv_overlay *overlay)
{
    drop_writes_from(overlay, 0);
    skv_overlay_init(overlay);
}

bool skv_overlay_is_empty(const struct skv_overlay *overlay)
{
    return overlay->writes == NULL && !overlay->cut;
}

bool skv_overlay_write(struct skv_overlay *overlay, int64_t offset, const void *bytes, size_t size)
{
    struct skv_overlay_write **link = &overlay->writes;
    struct skv_overlay_write *write;

    for (; *link != NULL; link = &(*link)->next) {
        if ((*link)->offset == offset && (*link)->size == size) {
            memcpy((*link)->bytes, bytes, size);
            return true;
        }
    }
    write = skv_alloc(sizeof(*write) + size);
    if (write == NULL) {
        return false;
    }
    write->next = NULL;
    write->offset = offset;
    write->size = size;
    memcpy(write->bytes, bytes, size);
    *link = write;
    return true;
}

void skv_overlay_truncate(struct skv_overlay *overlay, int64_t bytes)
{
    drop_writes_from(overlay, bytes);
    if (!overlay->cut || bytes < overlay->cut_bytes) {
        overlay->cut_bytes = bytes;
    }
    overlay->cut = true;
}

int64_t skv_overlay_file_bytes(const struct skv_overlay *overlay, int64_t bytes)
{
    if (overlay->cut && bytes > overlay->cut_bytes) {
        bytes = overlay->cut_bytes;
    }
    for (const struct skv_overlay_write *write = overlay->writes; write; write = write->next) {
        int64_t end = write->offset + (int64_t)write->size;
        bytes = end > bytes ? end : bytes;
    }
    return bytes;
}

bool skv_overlay_patch(const struct skv_overlay *overlay, int64_t offset, void *buffer, size_t size)
{
    int64_t end = offset + (int64_t)size;
    bool all = size == 0;

    if (overlay->cut && end > overlay->cut_bytes) {
        int64_t from = overlay->cut_bytes > offset ? overlay->cut_bytes : offset;
        memset((uint8_t *)buffer + (from - offset), 0, (size_t)(end - from));
    }
    for (const struct skv_overlay_write *write = overlay->writes; write; write = write->next) {
        int64_t from = write->offset > offset ? write->offset : offset;
        int64_t to = write->offset + (int64_t)write->size;
        to = to < end ? to : end;
        if (from < to) {
            memcpy((uint8_t *)buffer + (from - offset), write->bytes + (from - write->offset),
                   (size_t)(to - from));
            all = all || (from == offset && to == end);
        }
    }
    return all;
}

int skv_overlay_settle(struct skv_overlay *overlay, skv_overlay_truncate_fn *truncate,
                       skv_overlay_write_fn *write, void *context)
{
    int rc;

    if (overlay->cut) {
        rc = truncate(context, overlay->cut_bytes);
        if (rc != 0) {
            return rc;
        }
        overlay->cut = false;
    }
    while (overlay->writes != NULL) {
        struct skv_overlay_write *first = overlay->writes;
        rc = write(context, first->offset, first->bytes, first->size);
        if (rc != 0) {
            return rc;
        }
        overlay->writes = first->next;
        skv_free(first);
    }
    return 0;
}
