/* Uses memory wrongly, in the way that the name of its input says. For the tests of the address sanitizer, which has to see it. */
#include "operator_api.h"

#include <stdlib.h>

/* Volatile: the compiler must not see through it. */
static volatile uint8_t seen;
static const uint8_t *volatile earlier;
static void *volatile lost;

DoraInitResult_t dora_init_operator(void) {
    return (DoraInitResult_t){dora_error(NULL), NULL};
}

DoraResult_t dora_drop_operator(void *operator_context) {
    (void)operator_context;
    return dora_error(NULL);
}

OnEventResult_t dora_on_event(RawEvent_t *event, const SendOutput_t *send_output, void *operator_context) {
    (void)send_output;
    (void)operator_context;
    if (event->input == NULL) {
        return (OnEventResult_t){{NULL}, DORA_STATUS_CONTINUE};
    }
    char *id = dora_read_input_id(event->input);
    Vec_uint8_t data = dora_read_data(event->input);
    DoraStatus_t status = DORA_STATUS_STOP_ALL;
    if (strcmp(id, "past_the_end") == 0) {
        seen = data.ptr[data.len];
    } else if (strcmp(id, "given_back") == 0) {
        /* The data of the message before. */
        status = earlier == NULL ? DORA_STATUS_CONTINUE : DORA_STATUS_STOP_ALL;
        seen = earlier == NULL ? 0 : earlier[0];
        earlier = data.ptr;
    } else if (strcmp(id, "never_freed") == 0) {
        lost = malloc(77);
        lost = NULL;
    }
    dora_free_data(data);
    dora_free_input_id(id);
    return (OnEventResult_t){{NULL}, status};
}
