// A node: joining, receiving, sending, requests and goals.
#ifndef DORA_NODE_H
#define DORA_NODE_H

#include <cstring>
#include <deque>
#include <map>
#include <memory>

#include "dora/event.h"

namespace dora {

namespace detail {

/// Left when both halves are gone.
struct Context {
    explicit Context(void *joined) noexcept : handle(joined) {}
    Context(const Context &) = delete;
    Context &operator=(const Context &) = delete;
    ~Context() { free_dora_context(handle); }
    void *handle;
};

/// Milliseconds as nanoseconds; what does not fit is for ever.
inline std::int64_t nanoseconds(std::uint64_t ms) {
    return ms > static_cast<std::uint64_t>(INT64_MAX) / 1000000 ? -1 : static_cast<std::int64_t>(ms * 1000000);
}

} // namespace detail

/// The half of a node that receives. One thread at a time; it may be another than the one that sends.
class Events final {
public:
    explicit Events(std::shared_ptr<detail::Context> context) noexcept : context_(std::move(context)) {}
    /// Waits for the next event. AllInputsClosed at the end of the stream.
    Box<DoraEvent> next() const {
        void *event = dora_next_event(context_->handle);
        return Box<DoraEvent>(event != nullptr ? DoraEvent(event) : DoraEvent::without(dora_last_error_code()));
    }
    void *handle() const noexcept { return context_->handle; }

private:
    std::shared_ptr<detail::Context> context_;
};

/// The half of a node that sends. One thread at a time.
class OutputSender final {
public:
    explicit OutputSender(std::shared_ptr<detail::Context> context) noexcept : context_(std::move(context)) {}
    void *handle() const noexcept { return context_->handle; }

private:
    std::shared_ptr<detail::Context> context_;
};

struct DoraNode {
    Box<Events> events;
    Box<OutputSender> send_output;
};

namespace detail {

inline DoraNode node_of(void *handle) {
    auto context = std::make_shared<Context>(checked(handle));
    return {Box<Events>(Events(context)), Box<OutputSender>(OutputSender(context))};
}

/// The event that a call gave out, or why it did not.
template <class F, class... Args>
Box<DoraEvent> taken(F take, Args... args) {
    void *event = nullptr;
    const int status = take(args..., &event);
    return Box<DoraEvent>(status == DoraStatus_Ok ? DoraEvent(event) : DoraEvent::without(status));
}

} // namespace detail

/// Joins the dataflow that started this process. Throws Error.
inline DoraNode init_dora_node() { return detail::node_of(init_dora_context_from_env()); }
/// As the node of this name. Throws Error.
inline DoraNode init_dora_node(Str node_id) {
    return detail::node_of(init_dora_context_from_node_id(node_id.data(), node_id.size()));
}

// --- Receiving ------------------------------------------------------------------------------------------------------

inline Box<DoraEvent> next_event(const Box<Events> &events) { return events->next(); }

/// At most this long: Timeout.
inline Box<DoraEvent> next_event_timeout(const Box<Events> &events, std::uint64_t timeout_ms) {
    return detail::taken(dora_next_event_timeout, events->handle(), detail::nanoseconds(timeout_ms));
}

/// Does not wait: Empty.
inline Box<DoraEvent> try_next_event(const Box<Events> &events) {
    return detail::taken(dora_try_next_event, events->handle());
}

inline bool events_is_empty(const Box<Events> &events) { return dora_events_empty(events->handle()) != 0; }

/// Readable when there may be an event; see dora_event_fd. Throws Error.
inline int events_fd(const Box<Events> &events) {
    const int fd = dora_event_fd(events->handle());
    detail::check(fd < 0 ? DoraStatus_Failed : DoraStatus_Ok);
    return fd;
}

/// Messages lost per input since the last call.
inline std::map<std::string, std::uint64_t> drain_drop_counts(const Box<Events> &events) {
    std::map<std::string, std::uint64_t> counts;
    const auto each = [](void *user, const char *input, std::size_t len, std::uint64_t count) {
        static_cast<std::map<std::string, std::uint64_t> *>(user)->emplace(std::string(input, len), count);
    };
    detail::check(dora_take_drop_counts(events->handle(), each, &counts));
    return counts;
}

/// Events that were there together.
class DrainedEvents final {
public:
    std::deque<Box<DoraEvent>> events;
};

/// All events that are there now.
inline Box<DrainedEvents> drain_events(const Box<Events> &events) {
    DrainedEvents drained;
    for (;;) {
        Box<DoraEvent> event = try_next_event(events);
        if (event->handle() == nullptr) {
            return Box<DrainedEvents>(std::move(drained));
        }
        drained.events.push_back(std::move(event));
    }
}

inline std::size_t drained_events_len(const Box<DrainedEvents> &drained) { return drained->events.size(); }

/// The next of them: Empty behind the last.
inline Box<DoraEvent> drained_events_next(Box<DrainedEvents> &drained) {
    if (drained->events.empty()) {
        return Box<DoraEvent>(DoraEvent(DoraEventType::Empty));
    }
    Box<DoraEvent> event = std::move(drained->events.front());
    drained->events.pop_front();
    return event;
}

// --- Sending --------------------------------------------------------------------------------------------------------

/// Sends bytes, copied once.
inline DoraResult send_output(const Box<OutputSender> &sender, Str id, Slice<const std::uint8_t> data) {
    const char *bytes = reinterpret_cast<const char *>(data.data());
    const int sent = dora_send_output(sender->handle(), id.data(), id.size(), bytes, data.size());
    return {detail::error_of(sent)};
}

inline DoraResult send_output_with_metadata(const Box<OutputSender> &sender, Str id, Slice<const std::uint8_t> data,
                                            const Box<Metadata> &metadata) {
    const char *bytes = reinterpret_cast<const char *>(data.data());
    return {detail::error_of(dora_send_output_with_metadata(sender->handle(), id.data(), id.size(), bytes, data.size(),
                                                            metadata->handle()))};
}

/// Sends numbers, copied once: `send_values<double>(sender, "speed", speeds)`.
template <class T>
DoraResult send_values(const Box<OutputSender> &sender, Str id, Slice<const T> values) {
    return {detail::error_of(dora_send_values(sender->handle(), id.data(), id.size(), detail::number_type<T>(),
                                              values.data(), values.size(), nullptr))};
}

template <class T>
DoraResult send_values(const Box<OutputSender> &sender, Str id, Slice<const T> values, const Box<Metadata> &metadata) {
    return {detail::error_of(dora_send_values(sender->handle(), id.data(), id.size(), detail::number_type<T>(),
                                              values.data(), values.size(), metadata->handle()))};
}

/// Sends an array of one string.
inline DoraResult send_text(const Box<OutputSender> &sender, Str id, Str text) {
    return {detail::error_of(
        dora_send_text(sender->handle(), id.data(), id.size(), text.data(), text.size(), nullptr))};
}

inline DoraResult send_text(const Box<OutputSender> &sender, Str id, Str text, const Box<Metadata> &metadata) {
    return {detail::error_of(
        dora_send_text(sender->handle(), id.data(), id.size(), text.data(), text.size(), metadata->handle()))};
}

/// Sends an array of any type. When that worked the structs were released; otherwise they are still yours.
inline DoraResult send_arrow_output(const Box<OutputSender> &sender, Str id, ArrowArray *array, ArrowSchema *schema) {
    return {detail::error_of(dora_send_arrow(sender->handle(), id.data(), id.size(), array, schema, nullptr))};
}

inline DoraResult send_arrow_output(const Box<OutputSender> &sender, Str id, ArrowArray *array, ArrowSchema *schema,
                                    const Box<Metadata> &metadata) {
    return {detail::error_of(
        dora_send_arrow(sender->handle(), id.data(), id.size(), array, schema, metadata->handle()))};
}

inline DoraResult send_arrow_output(const Box<OutputSender> &sender, Str id, std::uint8_t *array, std::uint8_t *schema) {
    return send_arrow_output(sender, id, reinterpret_cast<ArrowArray *>(array), reinterpret_cast<ArrowSchema *>(schema));
}

inline DoraResult send_arrow_output(const Box<OutputSender> &sender, Str id, std::uint8_t *array, std::uint8_t *schema,
                                    const Box<Metadata> &metadata) {
    return send_arrow_output(sender, id, reinterpret_cast<ArrowArray *>(array), reinterpret_cast<ArrowSchema *>(schema),
                             metadata);
}

/// Another name of the same, from the documentation of dora 1.1.0.
inline DoraResult send_arrow_output_with_metadata(const Box<OutputSender> &sender, Str id, std::uint8_t *array,
                                                  std::uint8_t *schema, const Box<Metadata> &metadata) {
    return send_arrow_output(sender, id, array, schema, metadata);
}

/// A message that is written in the memory of its output. Given back unsent when it is destroyed.
template <class T>
class Loan final {
public:
    /// Throws Error.
    Loan(const Box<OutputSender> &sender, Str id, std::size_t count) : count_(count) {
        void *values = nullptr;
        detail::check(dora_loan_output(sender->handle(), id.data(), id.size(), detail::number_type<T>(), count, &handle_,
                                       &values));
        values_ = static_cast<T *>(values);
    }
    Loan(Loan &&other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)), values_(other.values_), count_(other.count_) {}
    Loan(const Loan &) = delete;
    Loan &operator=(Loan &&) = delete;
    ~Loan() {
        if (handle_ != nullptr) {
            dora_discard_loan(handle_);
        }
    }

    /// Where to write; what is there at first is unspecified.
    Slice<T> values() const noexcept { return {values_, count_}; }

    /// Sends it, copying nothing. Do not write any more.
    DoraResult send() { return send(nullptr); }
    DoraResult send(const Box<Metadata> &metadata) { return send(metadata->handle()); }

private:
    DoraResult send(const void *metadata) {
        if (handle_ == nullptr) {
            return {"this loan was sent before"};
        }
        const int sent = dora_send_loan(handle_, metadata);
        if (sent != DoraStatus_Busy) {
            handle_ = nullptr;
        }
        return {detail::error_of(sent)};
    }

    void *handle_ = nullptr;
    T *values_ = nullptr;
    std::size_t count_;
};

template <class T>
Loan<T> loan_output(const Box<OutputSender> &sender, Str id, std::size_t count) {
    return Loan<T>(sender, id, count);
}

/// Waits until a send would not wait for a `backpressure` reader. False when there is still no room.
inline bool wait_for_room(const Box<OutputSender> &sender, Str id, std::uint64_t timeout_ms) {
    const int status =
        dora_wait_for_room(sender->handle(), id.data(), id.size(), detail::nanoseconds(timeout_ms));
    detail::check(status == DoraStatus_Timeout ? DoraStatus_Ok : status);
    return status == DoraStatus_Ok;
}

inline DoraResult close_outputs(const Box<OutputSender> &sender, const Vec<std::string> &ids) {
    const detail::Texts texts(ids);
    return {detail::error_of(
        dora_close_outputs(sender->handle(), texts.starts.data(), texts.lens.data(), ids.size()))};
}

/// Levels: error, warn, info, debug, trace.
inline DoraResult log_message(const Box<OutputSender> &sender, Str level, Str message) {
    return {detail::error_of(
        dora_log(sender->handle(), level.data(), level.size(), message.data(), message.size()))};
}

// --- What a node knows about itself; these throw Error --------------------------------------------------------------

inline std::string node_id(const Box<OutputSender> &sender) { return detail::text_of(dora_node_id, sender->handle()); }
inline std::string dataflow_id(const Box<OutputSender> &sender) { return detail::text_of(dora_dataflow_id, sender->handle()); }
inline std::int64_t restart_count(const Box<OutputSender> &sender) { return dora_restart_count(sender->handle()); }
inline std::string node_config_json(const Box<OutputSender> &sender) {
    return detail::text_of(dora_node_config_json, sender->handle());
}
/// It may hold what the environment of nodes holds.
inline std::string dataflow_descriptor_json(const Box<OutputSender> &sender) {
    return detail::text_of(dora_dataflow_descriptor_json, sender->handle());
}

} // namespace dora

#endif // DORA_NODE_H
