/* A real-time operator: twenty readings, one per tick, written into a buffer of the runtime. */
#include "operator_api.h"

#include <stdlib.h>
#include <string.h>

#define READINGS 20

typedef struct {
    uint32_t tick;
    uint32_t reading;
    double value;
} Sensor;

static DoraInitResult_t failed(DoraRtSetup_t *setup, Sensor *sensor) {
    Vec_uint8_t why = setup->why(setup->env_ptr);
    char text[256] = "";
    memcpy(text, why.ptr, why.len < sizeof text ? why.len : sizeof text - 1);
    dora_free_data(why);
    free(sensor);
    return (DoraInitResult_t){dora_error(text), NULL};
}

DoraInitResult_t dora_rt_init_operator(DoraRtSetup_t *setup) {
    Sensor *sensor = calloc(1, sizeof *sensor);
    if (sensor == NULL) {
        return (DoraInitResult_t){dora_error("there is no memory for the sensor"), NULL};
    }
    int64_t tick = setup->input(setup->env_ptr, "tick", strlen("tick"), DORA_TYPE_UINT64);
    if (tick < 0) {
        return failed(setup, sensor);
    }
    int64_t reading = setup->output(setup->env_ptr, "reading", strlen("reading"), DORA_TYPE_FLOAT64, 1);
    if (reading < 0) {
        return failed(setup, sensor);
    }
    sensor->tick = (uint32_t)tick;
    sensor->reading = (uint32_t)reading;
    return (DoraInitResult_t){{NULL}, sensor};
}

DoraStatus_t dora_rt_on_event(const DoraRtEvent_t *event, const DoraRtOutbox_t *outbox, void *operator_context) {
    Sensor *sensor = operator_context;
    if (event->kind != DORA_RT_INPUT || event->input != sensor->tick) {
        return DORA_STATUS_CONTINUE;
    }
    double *place = (double *)(void *)outbox->loan(outbox->env_ptr, sensor->reading, sizeof *place);
    if (place == NULL) {
        return DORA_STATUS_CONTINUE;
    }
    sensor->value += 0.5;
    *place = sensor->value;
    outbox->publish(outbox->env_ptr, sensor->reading, sizeof *place);
    return sensor->value < READINGS / 2.0 ? DORA_STATUS_CONTINUE : DORA_STATUS_STOP;
}

DoraResult_t dora_drop_operator(void *operator_context) {
    free(operator_context);
    return dora_error(NULL);
}
