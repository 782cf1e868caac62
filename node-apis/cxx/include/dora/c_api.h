// The C API, with its errors turned into exceptions and texts.
#ifndef DORA_C_API_H
#define DORA_C_API_H

// C and C++ both have an enumeration `DoraEventType`; here that of C has another name.
#if defined(DORA_NODE_API_H) && !defined(DORA_EVENT_TYPE_RENAMED)
#error "include dora-node-api.h before node_api.h, or only one of them"
#endif
#define DORA_EVENT_TYPE_RENAMED
#define DORA_EVENT_TYPE DoraCEventType
#include "node_api.h"

#include "dora/types.h"

namespace dora {
namespace detail {

/// What went wrong in the last call of this thread that failed.
inline std::string last_error() { return dora_last_error(); }

/// Throws when the status of a call says that it failed.
inline void check(int status) {
    if (status != DoraStatus_Ok) {
        throw Error(last_error());
    }
}

/// A handle that is there.
inline void *checked(void *handle) {
    if (handle == nullptr) {
        throw Error(last_error());
    }
    return handle;
}

/// The error of a call; empty when it worked.
inline std::string error_of(int status) { return status == DoraStatus_Ok ? std::string() : last_error(); }

/// A place for a text that a call gives out, and what the call said.
template <class F, class... Args>
std::string text_of(F getter, Args... args) {
    const char *text = nullptr;
    std::size_t len = 0;
    check(getter(args..., &text, &len));
    return std::string(text, len);
}

/// Texts as the C API takes them.
struct Texts {
    explicit Texts(const Vec<std::string> &texts) {
        starts.reserve(texts.size());
        lens.reserve(texts.size());
        for (const std::string &text : texts) {
            starts.push_back(text.data());
            lens.push_back(text.size());
        }
    }
    Vec<const char *> starts;
    Vec<std::size_t> lens;
};

/// The number of a C++ type in enum DoraNumberType.
template <class T>
constexpr std::uint32_t number_type() {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool> && sizeof(T) <= 8, "plain numbers only");
    if constexpr (std::is_floating_point_v<T>) {
        return sizeof(T) == 4 ? DoraNumberType_Float32 : DoraNumberType_Float64;
    } else {
        const std::uint32_t first = std::is_signed_v<T> ? DoraNumberType_Int8 : DoraNumberType_UInt8;
        return first + (sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3);
    }
}

} // namespace detail
} // namespace dora

#endif // DORA_C_API_H
