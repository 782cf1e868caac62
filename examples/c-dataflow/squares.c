/* Squares what it gets. The square is written in the memory of the output: nothing is copied. Its message passes on the
 * metadata of the counter and says in `root` what was squared. */
#include <node_api.h>
#include <stdio.h>
#include <string.h>

#define OUTPUT "square"

static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, dora_last_error());
    return 1;
}

static int square(void *ctx, void *event) {
    char *data;
    size_t len;
    read_dora_input_data(event, &data, &len);
    if (len != 1) {
        return fail("`counter` shall be one byte");
    }
    int64_t root = (unsigned char)data[0];

    void *loan, *values;
    if (dora_loan_output(ctx, OUTPUT, strlen(OUTPUT), DoraNumberType_Int64, 1, &loan, &values) != DoraStatus_Ok) {
        return fail("no room for a message");
    }
    *(int64_t *)values = root * root;

    void *metadata = dora_copy_metadata(event);
    dora_metadata_set_int(metadata, "root", strlen("root"), root);
    int sent = dora_send_loan(loan, metadata);
    dora_free_metadata(metadata);
    return sent == DoraStatus_Ok ? 0 : fail("cannot send");
}

int main(void) {
    void *ctx = init_dora_context_from_env();
    if (ctx == NULL) {
        return 1;
    }

    int failed = 0;
    void *event;
    while (!failed && (event = dora_next_event(ctx)) != NULL) {
        if (read_dora_event_type(event) == DoraEventType_Input) {
            failed = square(ctx, event);
        }
        free_dora_event(event);
    }
    free_dora_context(ctx);
    return failed;
}
