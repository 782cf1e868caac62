//! Loans: a message that is written in the memory of its output, so that sending copies nothing.
//!
//! Small messages lie in the loan itself; a slot of the table never moves, so they stay where they are until they are sent.
#![expect(unsafe_code, reason = "entry points for C")]

use std::ffi::{c_char, c_int, c_void};

use dora_node_api::{DataSample, dora_core::config::DataId};

use crate::{
    context::{Context, context},
    metadata::with_parameters,
    send::width,
    status::{Failure, Outcome, Status, status},
    table::{Kind, Table},
    text::{self, Name},
};

/// What a loan handle stands for.
struct Loan {
    sample: DataSample,
    context: &'static Context,
    output: DataId,
    number_type: u32,
}

static LOANS: Table<Loan> = Table::new(Kind::Loan);

/// # Safety
/// `id` points to `id_len` bytes.
unsafe fn borrow(
    context: &'static Context,
    (id, id_len): (*const c_char, usize),
    number_type: u32,
    count: usize,
) -> Outcome<Loan> {
    let len = width(number_type)?.checked_mul(count).filter(|len| *len <= isize::MAX as usize);
    let len = len.ok_or_else(|| Failure::argument(format!("{count} values are more than memory has")))?;
    // SAFETY: passed on.
    let id = unsafe { Name::read(id, id_len)? };
    let mut half = context.sending()?;
    let (node, output) = half.output(id)?;
    // What is sent to an undeclared output is ignored, with a warning; it can be written all the same.
    let sample = if node.validate_output(output) {
        node.allocate_data_sample_for(output, len)
    } else {
        node.sample_allocator().allocate(len)
    };
    Ok(Loan { sample: sample.map_err(Failure::of)?, context, output: output.clone(), number_type })
}

/// Room for `count` numbers in the memory of an output: a handle, and where to write.
///
/// # Safety
/// `id` points to `id_len` bytes; `loan` and `values` are places for a result, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_loan_output(
    ctx: *mut c_void,
    id: *const c_char,
    id_len: usize,
    number_type: u32,
    count: usize,
    loan: *mut *mut c_void,
    values: *mut *mut c_void,
) -> c_int {
    status(|| {
        text::can_take(loan)?;
        text::can_take(values)?;
        // SAFETY: passed on.
        let handle = LOANS.insert(unsafe { borrow(context(ctx)?, (id, id_len), number_type, count)? })?;
        // SAFETY: nobody else knows the handle yet. The places were checked, the caller answers for the rest.
        unsafe {
            let start = LOANS.get_mut(handle)?.sample.as_mut_ptr();
            text::put(loan, handle, "`loan`")?;
            text::put(values, start.cast(), "`values`")
        }
    })
}

/// Sends a loan. It is gone afterwards, also when the send failed.
#[unsafe(no_mangle)]
pub extern "C" fn dora_send_loan(loan: *mut c_void, metadata: *const c_void) -> c_int {
    status(|| {
        with_parameters(metadata, |params| {
            // Refused before the loan is taken: a busy context is no reason to lose a message.
            let context = LOANS.get(loan)?.context;
            let mut half = match context.sending() {
                Err(failure) if failure.status == Status::InvalidHandle => {
                    LOANS.free(loan)?;
                    return Err(failure);
                }
                other => other?,
            };
            let Loan { sample, output, number_type, .. } = LOANS.remove(loan)?;
            half.node.send_sample_values(&output, params, number_type, sample).map_err(Failure::of)
        })
    })
}

/// Gives a loan back unsent.
#[unsafe(no_mangle)]
pub extern "C" fn dora_discard_loan(loan: *mut c_void) -> c_int {
    status(|| LOANS.free(loan))
}
