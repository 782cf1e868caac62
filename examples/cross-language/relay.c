/* Passes every array on, with its metadata. */
#include <node_api.h>
#include <stdio.h>
#include <string.h>

#define OUTPUT "array"

int main(void) {
    void *ctx = init_dora_context_from_env();
    if (ctx == NULL) {
        return 1;
    }
    int failed = 0;
    void *event;
    while (!failed && (event = dora_next_event(ctx)) != NULL) {
        if (read_dora_event_type(event) == DoraEventType_Input) {
            struct ArrowArray array;
            struct ArrowSchema schema;
            failed = dora_export_input(event, &array, &schema) != DoraStatus_Ok ||
                     dora_send_arrow(ctx, OUTPUT, strlen(OUTPUT), &array, &schema, event) != DoraStatus_Ok;
            if (failed) {
                fprintf(stderr, "%s\n", dora_last_error());
            }
        }
        free_dora_event(event);
    }
    free_dora_context(ctx);
    return failed;
}
