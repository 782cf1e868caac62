// Events: what happened, and what is in it.
#ifndef DORA_EVENT_H
#define DORA_EVENT_H

#include "dora/metadata.h"

namespace dora {

/// What happened. The first ten are those of dora 1.1.0, in its order.
enum class DoraEventType : std::uint8_t {
    Stop,
    Input,
    InputClosed,
    Error,
    Unknown,
    /// The event stream has ended.
    AllInputsClosed,
    /// Nothing is there now.
    Empty,
    /// The time is over.
    Timeout,
    NodeFailed,
    Reload,
    InputRecovered,
    NodeRestarted,
    ParamUpdate,
    ParamDeleted,
};

/// An event, or why there is none.
class DoraEvent final {
public:
    explicit DoraEvent(void *handle) noexcept
        : handle_(handle), type_(static_cast<DoraEventType>(read_dora_event_type(handle))) {}
    explicit DoraEvent(DoraEventType type, std::string error = {}) noexcept : type_(type), error_(std::move(error)) {}
    /// What a call said that should have given one out.
    static DoraEvent without(int status) {
        switch (status) {
        case DoraStatus_Closed: return DoraEvent(DoraEventType::AllInputsClosed);
        case DoraStatus_Timeout: return DoraEvent(DoraEventType::Timeout);
        case DoraStatus_Empty: return DoraEvent(DoraEventType::Empty);
        default: return DoraEvent(DoraEventType::Error, detail::last_error());
        }
    }
    DoraEvent(DoraEvent &&other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)), type_(other.type_), error_(std::move(other.error_)) {}
    DoraEvent &operator=(DoraEvent &&other) noexcept {
        std::swap(handle_, other.handle_);
        std::swap(type_, other.type_);
        std::swap(error_, other.error_);
        return *this;
    }
    DoraEvent(const DoraEvent &) = delete;
    DoraEvent &operator=(const DoraEvent &) = delete;
    ~DoraEvent() {
        if (handle_ != nullptr) {
            free_dora_event(handle_);
        }
    }

    DoraEventType type() const noexcept { return type_; }
    /// For calls of the C API; null when this is no event but the lack of one.
    void *handle() const noexcept { return handle_; }
    /// What went wrong; empty when nothing did.
    std::string error() const {
        const char *text = nullptr;
        std::size_t len = 0;
        const bool there = handle_ != nullptr && dora_event_error(handle_, &text, &len) == DoraStatus_Ok;
        return there ? std::string(text, len) : error_;
    }

private:
    void *handle_ = nullptr;
    DoraEventType type_;
    std::string error_;
};

struct DoraInput {
    std::string id;
    Vec<std::uint8_t> data;
};

struct DoraInputWithMetadata {
    std::string id;
    Vec<std::uint8_t> data;
    Box<Metadata> metadata;
};

struct DoraNodeFailed {
    Vec<std::string> affected_input_ids;
    std::string error;
    std::string source_node_id;
};

/// `error` is empty when it worked.
struct DoraResult {
    std::string error;
};

struct ArrowInputInfo {
    std::string id;
    Box<Metadata> metadata;
    std::string error;
};

namespace detail {

/// The handle of an event of this type.
inline void *handle_of(const Box<DoraEvent> &event, DoraEventType type, const char *name) {
    if (event->type() != type) {
        throw Error(std::string("the event is not ") + name);
    }
    return event->handle();
}

inline void *input_of(const Box<DoraEvent> &event) { return handle_of(event, DoraEventType::Input, "an input"); }

} // namespace detail

inline DoraEventType event_type(const Box<DoraEvent> &event) { return event->type(); }

// --- Without a copy: valid as long as the event ---------------------------------------------------------------------

/// The bytes of an input. Throws when it holds something else.
inline Slice<const std::uint8_t> event_bytes(const Box<DoraEvent> &event) {
    const std::uint8_t *bytes = nullptr;
    std::size_t len = 0;
    detail::check(dora_input_bytes(detail::input_of(event), &bytes, &len));
    return {bytes, len};
}

/// The numbers of an input: `event_values<double>(event)`. Throws when it holds something else.
template <class T>
Slice<const T> event_values(const Box<DoraEvent> &event) {
    std::uint32_t type = 0;
    const void *values = nullptr;
    std::size_t count = 0;
    detail::check(dora_input_values(detail::input_of(event), &type, &values, &count));
    if (type != detail::number_type<T>()) {
        throw Error("the input holds " + detail::text_of(dora_input_type, event->handle()) + ", not what was asked for");
    }
    return {static_cast<const T *>(values), count};
}

/// The text of an input that is one string. Throws when it holds something else.
inline Str event_text(const Box<DoraEvent> &event) {
    const char *text = nullptr;
    std::size_t len = 0;
    detail::check(dora_input_text(detail::input_of(event), &text, &len));
    return {text, len};
}

/// Name of the Arrow type of an input.
inline std::string event_input_type(const Box<DoraEvent> &event) {
    return detail::text_of(dora_input_type, detail::input_of(event));
}

/// The input, node, parameter or operator that an event is about; empty when it names nothing.
inline Str event_id(const Box<DoraEvent> &event) {
    const char *text = nullptr;
    std::size_t len = 0;
    const bool there = event->handle() != nullptr && dora_event_id(event->handle(), &text, &len) == DoraStatus_Ok;
    return there ? Str(text, len) : Str();
}

/// A copy of the metadata of an input.
inline Box<Metadata> event_metadata(const Box<DoraEvent> &event) {
    return Box<Metadata>(Metadata(static_cast<const void *>(detail::input_of(event))));
}

/// What went wrong; empty when nothing did.
inline std::string event_error(const Box<DoraEvent> &event) { return event->error(); }

/// The new value of a parameter, as JSON.
inline std::string event_value_json(const Box<DoraEvent> &event) {
    return detail::text_of(dora_event_value_json, detail::handle_of(event, DoraEventType::ParamUpdate, "a new value"));
}

/// True: all inputs are closed. False: somebody stopped the dataflow.
inline bool event_stopped_by_end_of_inputs(const Box<DoraEvent> &event) {
    return dora_stop_cause(detail::handle_of(event, DoraEventType::Stop, "a stop")) == 1;
}

/// Ticks of a timer that passed while the node was busy.
inline std::int64_t event_missed_ticks(const Box<DoraEvent> &event) {
    return dora_missed_ticks(detail::input_of(event));
}

// --- With a copy ----------------------------------------------------------------------------------------------------

/// Name and bytes. Throws for other events and other types. The tick of a timer has no bytes.
inline DoraInput event_as_input(Box<DoraEvent> event) {
    const auto bytes = event_bytes(event);
    return {std::string(event_id(event)), Vec<std::uint8_t>(bytes.begin(), bytes.end())};
}

inline DoraInputWithMetadata event_as_input_with_metadata(Box<DoraEvent> event) {
    const auto bytes = event_bytes(event);
    return {std::string(event_id(event)), Vec<std::uint8_t>(bytes.begin(), bytes.end()), event_metadata(event)};
}

inline DoraNodeFailed event_as_node_failed(Box<DoraEvent> event) {
    void *handle = detail::handle_of(event, DoraEventType::NodeFailed, "a failure of a node");
    DoraNodeFailed failed{{}, event->error(), std::string(event_id(event))};
    for (std::size_t index = 0;; index++) {
        const char *text = nullptr;
        std::size_t len = 0;
        if (dora_affected_input(handle, index, &text, &len) != DoraStatus_Ok) {
            return failed;
        }
        failed.affected_input_ids.emplace_back(text, len);
    }
}

/// The array of an input, of any type, in place: it outlives the event, and is released by whoever took it.
inline DoraResult event_as_arrow_input(Box<DoraEvent> event, ArrowArray *array, ArrowSchema *schema) {
    if (event->type() != DoraEventType::Input) {
        return {"the event is not an input"};
    }
    return {detail::error_of(dora_export_input(event->handle(), array, schema))};
}

inline DoraResult event_as_arrow_input(Box<DoraEvent> event, std::uint8_t *array, std::uint8_t *schema) {
    return event_as_arrow_input(std::move(event), reinterpret_cast<ArrowArray *>(array),
                                reinterpret_cast<ArrowSchema *>(schema));
}

inline ArrowInputInfo event_as_arrow_input_with_info(Box<DoraEvent> event, ArrowArray *array, ArrowSchema *schema) {
    if (event->type() != DoraEventType::Input) {
        return {{}, new_metadata(), "the event is not an input"};
    }
    ArrowInputInfo info{std::string(event_id(event)), event_metadata(event), {}};
    info.error = event_as_arrow_input(std::move(event), array, schema).error;
    return info;
}

inline ArrowInputInfo event_as_arrow_input_with_info(Box<DoraEvent> event, std::uint8_t *array, std::uint8_t *schema) {
    return event_as_arrow_input_with_info(std::move(event), reinterpret_cast<ArrowArray *>(array),
                                          reinterpret_cast<ArrowSchema *>(schema));
}

} // namespace dora

#endif // DORA_EVENT_H
