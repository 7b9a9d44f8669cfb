/* SPDX-License-Identifier: MIT */
/** Runs a fuzz target on files, or on all files of directories: `fuzz_replay_NAME PATH...` */
#include <ftw.h>
#include <sys/stat.h>

#include "fuzz.h"

static unsigned runs;

static int run_file(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)where;
    if (type != FTW_F) {
        return 0;
    }
    const size_t size = (size_t)info->st_size;
    uint8_t *const bytes = malloc(size + (size == 0));
    FILE *const file = fopen(path, "rb");
    FUZZ_CHECK(bytes != NULL && file != NULL);
    FUZZ_CHECK(fread(bytes, 1, size, file) == size);
    (void)fclose(file);
    printf("%s\n", path);
    (void)fflush(stdout);
    (void)LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    runs++;
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (nftw(argv[i], run_file, 16, FTW_PHYS) != 0) {
            fprintf(stderr, "cannot read %s\n", argv[i]);
            return EXIT_FAILURE;
        }
    }
    printf("%u inputs\n", runs);
    return runs != 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
