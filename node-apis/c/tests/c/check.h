/* CHECK says what was wrong and where, and goes on; RESULT is the exit code. */
#ifndef CHECK_H
#define CHECK_H

#include <node_api.h>
#include <stdio.h>
#include <string.h>

static int failures = 0;

#define CHECK(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            failures++;                                                                                                \
            fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, #what, dora_last_error());     \
        }                                                                                                              \
    } while (0)

#define RESULT (failures == 0 ? 0 : 1)

/* A literal with its length. */
#define TEXT(literal) (literal), strlen(literal)

static inline int same(const char *text, size_t len, const char *expected) {
    return len == strlen(expected) && memcmp(text, expected, len) == 0;
}

#endif
