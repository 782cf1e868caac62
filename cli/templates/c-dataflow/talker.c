/* Says hello on every tick, until the dataflow stops. */
#include <node_api.h>
#include <stdio.h>
#include <string.h>

#define SPEECH "speech"

int main(void) {
    void *ctx = init_dora_context_from_env();
    if (ctx == NULL) {
        return 1;
    }
    const char *name;
    size_t name_len;
    dora_node_id(ctx, &name, &name_len);

    unsigned said = 0;
    void *event;
    while ((event = dora_next_event(ctx)) != NULL) {
        if (read_dora_event_type(event) == DoraEventType_Input) {
            char text[160];
            int len = snprintf(text, sizeof text, "hello %u from %.*s", ++said, (int)name_len, name);
            if (len < (int)sizeof text && dora_send_text(ctx, SPEECH, strlen(SPEECH), text, (size_t)len, event) != DoraStatus_Ok) {
                fprintf(stderr, "cannot send: %s\n", dora_last_error());
            }
        }
        free_dora_event(event);
    }
    free_dora_context(ctx);
    return 0;
}
