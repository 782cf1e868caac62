/* Prints what is said, until nobody says anything any more. */
#include <node_api.h>
#include <stdio.h>

int main(void) {
    void *ctx = init_dora_context_from_env();
    if (ctx == NULL) {
        return 1;
    }
    /* A line is to be seen when it is printed. */
    setvbuf(stdout, NULL, _IOLBF, 0);

    unsigned heard = 0;
    void *event;
    while ((event = dora_next_event(ctx)) != NULL) {
        const char *input, *text;
        size_t input_len, text_len;
        switch (read_dora_event_type(event)) {
        case DoraEventType_Input:
            dora_event_id(event, &input, &input_len);
            if (dora_input_text(event, &text, &text_len) == DoraStatus_Ok) {
                printf("heard on %.*s: %.*s\n", (int)input_len, input, (int)text_len, text);
                heard++;
            } else {
                fprintf(stderr, "%s\n", dora_last_error());
            }
            break;
        case DoraEventType_InputClosed:
            dora_event_id(event, &input, &input_len);
            printf("%.*s is silent now\n", (int)input_len, input);
            break;
        case DoraEventType_Stop:
            break;
        default:
            fprintf(stderr, "unexpected event of type %d\n", (int)read_dora_event_type(event));
        }
        free_dora_event(event);
    }
    printf("heard %u sentences\n", heard);
    free_dora_context(ctx);
    return 0;
}
