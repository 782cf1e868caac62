/* Counts the ticks of a timer, and ends after ten. */
#include <node_api.h>
#include <stdio.h>
#include <string.h>

#define OUTPUT "counter"

int main(void) {
    void *ctx = init_dora_context_from_env();
    if (ctx == NULL) {
        return 1;
    }

    unsigned char counter = 0;
    void *event;
    while (counter < 10 && (event = dora_next_event(ctx)) != NULL) {
        enum DoraEventType type = read_dora_event_type(event);
        if (type == DoraEventType_Input) {
            counter++;
            if (dora_send_output(ctx, OUTPUT, strlen(OUTPUT), (const char *)&counter, 1) != 0) {
                fprintf(stderr, "cannot send: %s\n", dora_last_error());
            }
        }
        free_dora_event(event);
        if (type == DoraEventType_Stop) {
            break;
        }
    }

    const char message[] = "counted to the end";
    dora_log(ctx, "info", strlen("info"), message, strlen(message));
    free_dora_context(ctx);
    return counter == 10 ? 0 : 1;
}
