/* Prints what it gets, and looks up every second when nothing comes. */
#include <inttypes.h>
#include <node_api.h>
#include <stdio.h>
#include <string.h>

static void print_input(void *event) {
    char *id;
    size_t id_len;
    read_dora_input_id(event, &id, &id_len);

    uint32_t type;
    const void *values;
    size_t count;
    if (dora_input_values(event, &type, &values, &count) != DoraStatus_Ok || type != DoraNumberType_Int64) {
        fprintf(stderr, "`%.*s` shall be Int64: %s\n", (int)id_len, id, dora_last_error());
        return;
    }
    int64_t root = 0;
    dora_metadata_get_int(event, "root", strlen("root"), &root);
    for (size_t i = 0; i < count; i++) {
        printf("sink received on %.*s: %" PRId64 " is the square of %" PRId64 "\n", (int)id_len, id,
               ((const int64_t *)values)[i], root);
    }
}

int main(void) {
    void *ctx = init_dora_context_from_env();
    if (ctx == NULL) {
        return 1;
    }

    for (;;) {
        void *event;
        int status = dora_next_event_timeout(ctx, 1000000000, &event);
        if (status == DoraStatus_Timeout) {
            printf("nothing for a second\n");
            continue;
        }
        if (status != DoraStatus_Ok) {
            break;
        }
        const char *id;
        size_t len;
        switch (read_dora_event_type(event)) {
        case DoraEventType_Input:
            print_input(event);
            break;
        case DoraEventType_InputClosed:
            if (dora_event_id(event, &id, &len) == DoraStatus_Ok) {
                printf("input `%.*s` was closed\n", (int)len, id);
            }
            break;
        case DoraEventType_Stop:
            printf("stop: %s\n", dora_stop_cause(event) == 1 ? "all inputs are closed" : "somebody said so");
            break;
        default:
            fprintf(stderr, "unexpected event of type %d\n", (int)read_dora_event_type(event));
        }
        free_dora_event(event);
    }
    /* Printing is buffered, and the process may be short. */
    fflush(stdout);
    int closed = dora_last_error_code() == DoraStatus_Closed;
    free_dora_context(ctx);
    return closed ? 0 : 1;
}
