// An Arrow array as the two structs of the C data interface, for programs without the Arrow C++ library.
#ifndef DORA_ARROW_PAIR_H
#define DORA_ARROW_PAIR_H

#include "dora/node.h"

namespace dora {

/// An array and its schema, released when it is destroyed.
class ArrowPair final {
public:
    ArrowPair() noexcept = default;
    ArrowPair(ArrowPair &&other) noexcept
        : array(std::exchange(other.array, ArrowArray{})), schema(std::exchange(other.schema, ArrowSchema{})) {}
    ArrowPair &operator=(ArrowPair &&other) noexcept {
        std::swap(array, other.array);
        std::swap(schema, other.schema);
        return *this;
    }
    ArrowPair(const ArrowPair &) = delete;
    ArrowPair &operator=(const ArrowPair &) = delete;
    ~ArrowPair() {
        if (array.release != nullptr) {
            array.release(&array);
        }
        if (schema.release != nullptr) {
            schema.release(&schema);
        }
    }

    /// The array of an input, in place. Throws Error.
    static ArrowPair of(Box<DoraEvent> event) {
        ArrowPair pair;
        const DoraResult result = event_as_arrow_input(std::move(event), &pair.array, &pair.schema);
        if (!result.error.empty()) {
            throw Error(result.error);
        }
        return pair;
    }

    /// An array of numbers.
    template <class T>
    static ArrowPair of(Vec<T> values);

    /// Format string of the C data interface: `g` is Float64.
    Str format() const noexcept { return schema.format != nullptr ? Str(schema.format) : Str(); }

    ArrowArray array{};
    ArrowSchema schema{};
};

inline DoraResult send_arrow_output(const Box<OutputSender> &sender, Str id, ArrowPair &pair) {
    return send_arrow_output(sender, id, &pair.array, &pair.schema);
}

inline DoraResult send_arrow_output(const Box<OutputSender> &sender, Str id, ArrowPair &pair,
                                    const Box<Metadata> &metadata) {
    return send_arrow_output(sender, id, &pair.array, &pair.schema, metadata);
}

namespace detail {

/// Memory of an array that was made here: no nulls, then the values.
template <class T>
struct Numbers {
    Vec<T> values;
    const void *buffers[2];

    static void release(ArrowArray *array) {
        delete static_cast<Numbers *>(array->private_data);
        array->release = nullptr;
    }
};

inline void release_schema(ArrowSchema *schema) { schema->release = nullptr; }

/// Format strings in the order of enum DoraNumberType.
template <class T>
constexpr const char *format_of() {
    constexpr const char *formats[] = {"n", "C", "S", "I", "L", "c", "s", "i", "l", "f", "g"};
    return formats[number_type<T>()];
}

} // namespace detail

template <class T>
ArrowPair ArrowPair::of(Vec<T> values) {
    auto numbers = std::make_unique<detail::Numbers<T>>();
    numbers->values = std::move(values);
    numbers->buffers[0] = nullptr;
    numbers->buffers[1] = numbers->values.data();
    ArrowPair pair;
    pair.array.length = static_cast<std::int64_t>(numbers->values.size());
    pair.array.n_buffers = 2;
    pair.array.buffers = numbers->buffers;
    pair.array.private_data = numbers.release();
    pair.array.release = detail::Numbers<T>::release;
    pair.schema.format = detail::format_of<T>();
    pair.schema.name = "";
    pair.schema.release = detail::release_schema;
    return pair;
}

} // namespace dora

#endif // DORA_ARROW_PAIR_H
