//! Loading a shared library and finding the operator in it.
#![expect(unsafe_code, reason = "runs code of a shared library")]

use std::{ffi::c_void, path::Path};

use dora_operator_api::abi::{
    DoraResult, InitResult, OnEventResult, RawEvent, RtEvent, RtOutbox, RtSetup, SendOutput,
};
use dora_protocol::operator::Operator;
use libloading::Library;

use crate::error::RuntimeError;

type Init = unsafe extern "C" fn() -> InitResult;
type RtInit = unsafe extern "C" fn(*mut RtSetup) -> InitResult;
type OnEvent = unsafe extern "C" fn(*mut RawEvent, *const SendOutput, *mut c_void) -> OnEventResult;
type RtOnEvent = unsafe extern "C" fn(*const RtEvent, *const RtOutbox, *mut c_void) -> u8;
type DropOperator = unsafe extern "C" fn(*mut c_void) -> DoraResult;

/// The functions of an operator. They stay valid as long as the process: a library is never unloaded, because a value that
/// an operator sent may have its functions in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbols {
    pub(crate) entry: Entry,
    pub(crate) drop_operator: DropOperator,
}

/// Which kind of operator it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry {
    Familiar { init: Init, on_event: OnEvent },
    Rt { init: RtInit, on_event: RtOnEvent },
}

/// An operator that its library made.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) pointer: *mut c_void,
    drop_operator: DropOperator,
}

// SAFETY: an operator is used by one thread at a time (`operator_api.h` says so); the executor keeps it in a mutex.
unsafe impl Send for Context {}

impl Context {
    /// Takes what an init function returned.
    pub(crate) fn take(made: InitResult, symbols: &Symbols, operator: &str) -> Result<Self, RuntimeError> {
        // SAFETY: it came from the library just now, and is used once.
        unsafe { made.result.take() }
            .map_err(|why| RuntimeError::Init { operator: operator.to_owned(), why })?;
        Ok(Self { pointer: made.operator_context, drop_operator: symbols.drop_operator })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the init function of the same library, and is given back once.
        let dropped = unsafe { (self.drop_operator)(self.pointer).take() };
        if let Err(why) = dropped {
            eprintln!("an operator complained when it was dropped: {why}");
        }
    }
}

/// Loads the library of an operator; relative to the working directory of this process.
pub(crate) fn load(operator: &Operator) -> Result<Symbols, RuntimeError> {
    let candidates = operator.source.candidates(Path::new("."));
    let file = candidates.iter().find(|file| file.is_file()).unwrap_or(&candidates[0]).clone();
    let about = |why: String| RuntimeError::Load {
        at: operator.at.to_string(),
        operator: operator.id.to_string(),
        file: file.clone(),
        why,
    };
    // SAFETY: runs the initialisers of the library, which is what the user asked for; this process exists for that.
    let library = unsafe { Library::new(&file) }.map_err(|error| about(error.to_string()))?;
    let symbols = find(&library, &file, operator);
    // Never unloaded, see `Symbols`.
    std::mem::forget(library);
    symbols
}

fn find(library: &Library, file: &Path, operator: &Operator) -> Result<Symbols, RuntimeError> {
    let missing = |symbol| RuntimeError::NoSymbol {
        at: operator.at.to_string(),
        operator: operator.id.to_string(),
        file: file.to_owned(),
        symbol,
    };
    // SAFETY: the types are those of `operator_api.h`, which says what a library exports under these names.
    let entry = match unsafe { library.get::<RtInit>(c"dora_rt_init_operator") } {
        Ok(init) => {
            // SAFETY: as above.
            let on_event = unsafe { library.get::<RtOnEvent>(c"dora_rt_on_event") };
            Entry::Rt { init: *init, on_event: *on_event.map_err(|_| missing("dora_rt_on_event"))? }
        }
        Err(_) => {
            // SAFETY: as above.
            let init = unsafe { library.get::<Init>(c"dora_init_operator") };
            let init = *init.map_err(|_| missing("dora_init_operator"))?;
            // SAFETY: as above.
            let on_event = unsafe { library.get::<OnEvent>(c"dora_on_event") };
            Entry::Familiar { init, on_event: *on_event.map_err(|_| missing("dora_on_event"))? }
        }
    };
    // SAFETY: as above.
    let drop_operator = unsafe { library.get::<DropOperator>(c"dora_drop_operator") };
    Ok(Symbols { entry, drop_operator: *drop_operator.map_err(|_| missing("dora_drop_operator"))? })
}
