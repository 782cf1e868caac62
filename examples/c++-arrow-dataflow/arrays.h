// Arrays of doubles for both nodes: with the Arrow C++ library where there is one, and without.
#pragma once

#if defined(WITH_ARROW)
#include <dora-arrow.h>

inline DoraResult send_numbers(const DoraNode &node, const char *output, const std::vector<double> &numbers) {
    arrow::DoubleBuilder builder;
    std::shared_ptr<arrow::Array> array;
    for (const arrow::Status &status : {builder.AppendValues(numbers), builder.Finish(&array)}) {
        if (!status.ok()) {
            return {status.ToString()};
        }
    }
    return send_arrow(node.send_output, output, *array);
}

inline std::vector<double> numbers_of(rust::Box<DoraEvent> event) {
    const auto array = event_as_arrow(std::move(event)).ValueOrDie();
    if (array->type_id() != arrow::Type::DOUBLE) {
        throw rust::Error("expected doubles, got " + array->type()->ToString());
    }
    const auto &doubles = static_cast<const arrow::DoubleArray &>(*array);
    return {doubles.raw_values(), doubles.raw_values() + doubles.length()};
}

#else
#include <dora-node-api.h>

inline DoraResult send_numbers(const DoraNode &node, const char *output, const std::vector<double> &numbers) {
    auto array = dora::ArrowPair::of(numbers);
    return send_arrow_output(node.send_output, output, array);
}

inline std::vector<double> numbers_of(rust::Box<DoraEvent> event) {
    const auto pair = dora::ArrowPair::of(std::move(event));
    // `g` is Float64 in the C data interface; its buffers are nulls and values.
    if (pair.format() != "g" || pair.array.null_count > 0) {
        throw rust::Error("expected doubles without nulls, got format " + std::string(pair.format()));
    }
    const auto *values = static_cast<const double *>(pair.array.buffers[1]) + pair.array.offset;
    return {values, values + pair.array.length};
}
#endif
