/* A node that counts: sends the number of ticks so far on every tick, until the dataflow stops. */
#include <inttypes.h>
#include <node_api.h>
#include <stdio.h>
#include <string.h>

#define COUNT "count"

int main(void) {
    void *ctx = init_dora_context_from_env();
    if (ctx == NULL) {
        return 1;
    }

    uint64_t ticks = 0;
    void *event;
    while ((event = dora_next_event(ctx)) != NULL) {
        switch (read_dora_event_type(event)) {
        case DoraEventType_Input:
            ticks++;
            if (dora_send_values(ctx, COUNT, strlen(COUNT), DoraNumberType_UInt64, &ticks, 1, event) != DoraStatus_Ok) {
                fprintf(stderr, "cannot send: %s\n", dora_last_error());
            }
            break;
        case DoraEventType_Stop:
            break;
        default:
            fprintf(stderr, "unexpected event of type %d\n", (int)read_dora_event_type(event));
        }
        free_dora_event(event);
    }

    printf("counted %" PRIu64 " ticks\n", ticks);
    free_dora_context(ctx);
    return 0;
}
