// Write dora operators in C++. Nothing to link: this header, operator_api.h, and dora/types.h of the C++ node API are all.
//
// A user provides, in `operator.h`, a class Operator and these functions; `dora-operator-bridge.cc`, which is compiled along with them,
// includes that file and exports the operator:
//
//   std::unique_ptr<Operator> new_operator();
//   DoraOnInputResult on_input(Operator &, rust::Str id, rust::Slice<const uint8_t> data, OutputSender &);
//   DoraOnInputResult on_input_closed(Operator &, rust::Str id, OutputSender &);                         // optional
//   DoraOnInputResult on_stop(Operator &, OutputSender &);                                               // optional
//   DoraOnInputResult on_input_parse_error(Operator &, rust::Str id, rust::Str error, OutputSender &);   // optional
//
// Instead of the bridge file, `DORA_EXPORT_OPERATOR()` may stand in one source file, after these functions. An exception that leaves one of
// them fails the operator with its text.
#ifndef DORA_OPERATOR_API_HPP
#define DORA_OPERATOR_API_HPP

#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "dora/types.h"
#include "operator_api.h"

class Operator;

/// What a callback says. An error that is not empty is fatal, whatever `stop` says.
struct DoraOnInputResult {
    std::string error;
    bool stop = false;
};

/// What a send says. Empty: it was sent.
struct DoraSendOutputResult {
    std::string error;
};

namespace dora {

/// The text of a result; frees it.
inline std::string take_error(DoraResult_t result) {
    std::string text;
    if (result.error != nullptr) {
        text.assign(reinterpret_cast<const char *>(result.error->ptr), result.error->len);
        dora_free_result(result);
    }
    return text;
}

/// Sends, and knows the message that is being handled. Valid during one callback, on its thread.
class OutputSender final {
public:
    OutputSender(const SendOutput_t *send, Input_t *input) noexcept : send_(send), input_(input) {}
    OutputSender(const OutputSender &) = delete;
    OutputSender &operator=(const OutputSender &) = delete;

    /// Sends flat values of a type (DORA_TYPE_…). `metadata` is a JSON object, or empty. With `forward` the metadata of the input goes along.
    DoraSendOutputResult send_values(Str id, std::uint32_t type, const void *data, std::size_t bytes,
                                     const std::string &metadata = {}, bool forward = false) const {
        const std::string name(id);
        return {take_error(dora_send_operator_values(send_, name.c_str(), type, data, bytes, text(metadata),
                                                     forward ? input_ : nullptr))};
    }

    /// Sends an array by the Arrow C Data Interface; both structures are taken over, also when it fails.
    DoraSendOutputResult send_arrow(Str id, ArrowArray *array, ArrowSchema *schema, const std::string &metadata = {},
                                    bool forward = false) const {
        const std::string name(id);
        return {take_error(
            dora_send_operator_arrow(send_, name.c_str(), array, schema, text(metadata), forward ? input_ : nullptr))};
    }

    /// Type of the values of the input: DORA_TYPE_…, or DORA_TYPE_NOT_FLAT.
    std::uint32_t input_type() const noexcept { return dora_input_type(input_); }

    /// The input by the Arrow C Data Interface, whatever its type; no copy. Empty, or why not.
    std::string export_input(ArrowArray *array, ArrowSchema *schema) const {
        return take_error(dora_input_export(input_, array, schema));
    }

    /// Parameters of the input as JSON.
    std::string metadata() const {
        const Vec_uint8_t json = dora_input_metadata(input_);
        std::string text;
        if (json.ptr != nullptr) {
            text.assign(reinterpret_cast<const char *>(json.ptr), json.len);
        }
        dora_free_data(json);
        return text;
    }

private:
    static const char *text(const std::string &json) noexcept { return json.empty() ? nullptr : json.c_str(); }

    const SendOutput_t *send_;
    Input_t *input_;
};

} // namespace dora

using dora::OutputSender;

/// Sends bytes.
inline DoraSendOutputResult send_output(OutputSender &sender, dora::Str id, dora::Slice<const std::uint8_t> data) {
    return sender.send_values(id, DORA_TYPE_UINT8, data.data(), data.size());
}

namespace dora::detail {

// Callbacks that a user may leave out: these are worse matches than the user's own.
struct Any {
    template <class T>
    Any(T &&) {}
};
inline DoraOnInputResult on_input_closed(Any, Str, Any) {
    return {};
}
inline DoraOnInputResult on_stop(Any, Any) {
    return {};
}
inline DoraOnInputResult on_input_parse_error(Any, Str id, Str error, Any) {
    return {"input `" + std::string(id) + "`: " + std::string(error), false};
}

inline Str text(const Vec_uint8_t &bytes) noexcept {
    return Str(reinterpret_cast<const char *>(bytes.ptr), bytes.len);
}

template <class F>
OnEventResult_t guarded(F run) noexcept {
    DoraOnInputResult said;
    try {
        said = run();
    } catch (const std::exception &error) {
        said.error = error.what()[0] != '\0' ? error.what() : "an exception without a text";
    } catch (...) {
        said.error = "an exception that is no std::exception";
    }
    if (!said.error.empty()) {
        return {dora_error(said.error.c_str()), DORA_STATUS_STOP};
    }
    return {{nullptr}, static_cast<DoraStatus_t>(said.stop ? DORA_STATUS_STOP : DORA_STATUS_CONTINUE)};
}

/// The callbacks for one event, in order; the first error and the first stop end it.
template <class Op>
DoraOnInputResult dispatch(const RawEvent_t &event, const SendOutput_t *send, Op &op) {
    OutputSender sender(send, event.input);
    DoraOnInputResult said;
    if (event.input != nullptr) {
        const Str id(event.input->id, event.input->id_len);
        const Slice<const std::uint8_t> data(event.input->data, event.input->len);
        said = on_input(op, id, data, sender);
    }
    if (said.error.empty() && event.error.ptr != nullptr) {
        said = on_input_parse_error(op, text(event.error_input), text(event.error), sender);
    }
    if (said.error.empty() && !said.stop && event.input_closed.ptr != nullptr) {
        said = on_input_closed(op, text(event.input_closed), sender);
    }
    if (said.error.empty() && !said.stop && event.stop) {
        said = on_stop(op, sender);
    }
    return said;
}

} // namespace dora::detail

/// Exports the operator of this library; once, where `Operator` and its callbacks are known.
#define DORA_EXPORT_OPERATOR()                                                                                          \
    extern "C" DORA_EXPORT DoraInitResult_t dora_init_operator(void) {                                                  \
        void *made = nullptr;                                                                                           \
        const OnEventResult_t said = dora::detail::guarded([&] {                                                        \
            made = new_operator().release();                                                                            \
            return DoraOnInputResult{made == nullptr ? "new_operator returned nothing" : "", false};                    \
        });                                                                                                             \
        return {said.result, made};                                                                                     \
    }                                                                                                                   \
    extern "C" DORA_EXPORT DoraResult_t dora_drop_operator(void *context) {                                             \
        return dora::detail::guarded([&] {                                                                              \
                   std::unique_ptr<Operator>(static_cast<Operator *>(context)).reset();                                 \
                   return DoraOnInputResult{};                                                                          \
               })                                                                                                       \
            .result;                                                                                                    \
    }                                                                                                                   \
    extern "C" DORA_EXPORT OnEventResult_t dora_on_event(RawEvent_t *event, const SendOutput_t *send, void *context) {  \
        if (event == nullptr || send == nullptr || context == nullptr) {                                                \
            return {dora_error("dora_on_event was called with a null pointer"), DORA_STATUS_STOP};                      \
        }                                                                                                               \
        return dora::detail::guarded(                                                                                   \
            [&] { return dora::detail::dispatch(*event, send, *static_cast<Operator *>(context)); });                   \
    }                                                                                                                   \
    static_assert(true, "takes the semicolon")

#endif // DORA_OPERATOR_API_HPP
