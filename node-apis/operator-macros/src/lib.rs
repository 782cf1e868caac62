//! `#[register_operator]`: the three symbols that a runtime looks for in a shared library.
//!
//! Used through `dora_operator_api`, which says what the symbols do.

use proc_macro::TokenStream;
use quote::quote;
use syn::{Item, Type, parse_macro_input};

/// Exports the operator of this library: `register_operator!(Type);`. Once per library.
#[proc_macro]
pub fn register_operator(input: TokenStream) -> TokenStream {
    let name = parse_macro_input!(input as Type);
    symbols(&name).into()
}

/// The attribute form of `register_operator!`, for a `struct` or an `enum`.
#[proc_macro_attribute]
pub fn register_operator_attribute(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute(arguments, item, symbols)
}

/// Exports the real-time operator of this library; on the type. Once per library.
#[proc_macro_attribute]
pub fn register_rt_operator(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute(arguments, item, rt_symbols)
}

fn attribute(
    arguments: TokenStream,
    item: TokenStream,
    symbols: fn(&Type) -> proc_macro2::TokenStream,
) -> TokenStream {
    if !arguments.is_empty() {
        let what = "this attribute takes no arguments: write `#[register_operator]`";
        return syn::Error::new(proc_macro2::Span::call_site(), what).to_compile_error().into();
    }
    let item = parse_macro_input!(item as Item);
    let (name, generics) = match &item {
        Item::Struct(item) => (&item.ident, &item.generics),
        Item::Enum(item) => (&item.ident, &item.generics),
        other => {
            let what = "an operator is a `struct` or an `enum` that implements `DoraOperator`";
            return syn::Error::new_spanned(other, what).to_compile_error().into();
        }
    };
    if !generics.params.is_empty() {
        let what = "a generic type cannot be exported; write a type without parameters around it";
        return syn::Error::new_spanned(generics, what).to_compile_error().into();
    }
    let symbols = symbols(&Type::Path(syn::TypePath { qself: None, path: name.clone().into() }));
    quote!(#item #symbols).into()
}

fn symbols(name: &Type) -> proc_macro2::TokenStream {
    quote! {
        #[allow(unsafe_code, missing_docs, reason = "the symbols of a shared library")]
        const _: () = {
            #[unsafe(no_mangle)]
            pub extern "C" fn dora_init_operator() -> ::dora_operator_api::abi::InitResult {
                ::dora_operator_api::glue::init::<#name>()
            }

            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn dora_drop_operator(
                context: *mut ::core::ffi::c_void,
            ) -> ::dora_operator_api::abi::DoraResult {
                // SAFETY: the runtime hands back what `dora_init_operator` made, once.
                unsafe { ::dora_operator_api::glue::drop::<#name>(context) }
            }

            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn dora_on_event(
                event: *mut ::dora_operator_api::abi::RawEvent,
                send_output: *const ::dora_operator_api::abi::SendOutput,
                context: *mut ::core::ffi::c_void,
            ) -> ::dora_operator_api::abi::OnEventResult {
                // SAFETY: the runtime hands over live pointers, and uses an operator on one thread at a time.
                unsafe { ::dora_operator_api::glue::on_event::<#name>(event, send_output, context) }
            }
        };
    }
}

fn rt_symbols(name: &Type) -> proc_macro2::TokenStream {
    quote! {
        #[allow(unsafe_code, missing_docs, reason = "the symbols of a shared library")]
        const _: () = {
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn dora_rt_init_operator(
                setup: *mut ::dora_operator_api::abi::RtSetup,
            ) -> ::dora_operator_api::abi::InitResult {
                // SAFETY: the runtime hands over a live pointer.
                unsafe { ::dora_operator_api::glue::rt_init::<#name>(setup) }
            }

            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn dora_drop_operator(
                context: *mut ::core::ffi::c_void,
            ) -> ::dora_operator_api::abi::DoraResult {
                // SAFETY: the runtime hands back what `dora_rt_init_operator` made, once.
                unsafe { ::dora_operator_api::glue::drop::<#name>(context) }
            }

            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn dora_rt_on_event(
                event: *const ::dora_operator_api::abi::RtEvent,
                outbox: *const ::dora_operator_api::abi::RtOutbox,
                context: *mut ::core::ffi::c_void,
            ) -> u8 {
                // SAFETY: the runtime hands over live pointers, and uses an operator on one thread at a time.
                unsafe { ::dora_operator_api::glue::rt_on_event::<#name>(event, outbox, context) }
            }
        };
    }
}
