//! Sending: loans written in place, and copies.

use dora_protocol::wire_type::Primitive;
use lockfree_ipc::LoanError;

use super::{Loan, Out, RtError, RtNode};
use crate::outbox::SendError;

/// Sending.
impl RtNode {
    /// Sends a copy of `values`: one copy into the slot. Waits while a `backpressure` reader is full.
    ///
    /// # Errors
    /// [`RtError::TooLarge`], [`RtError::NoSlot`], [`RtError::Closed`]; nothing is sent then.
    ///
    /// # Real time
    /// No allocation, no lock; one system call per reader that sleeps.
    #[inline]
    pub fn send<T: Primitive>(&mut self, output: &Out<T>, values: &[T]) -> Result<(), RtError> {
        let mut loan = self.loan(output, values.len())?;
        loan.copy_from_slice(values);
        self.hand_over(loan, true)
    }

    /// As [`send`](Self::send), but [`RtError::WouldBlock`] instead of waiting.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`RtError::WouldBlock`].
    #[inline]
    pub fn try_send<T: Primitive>(&mut self, output: &Out<T>, values: &[T]) -> Result<(), RtError> {
        if self.outbox.would_block(output.index) {
            return Err(RtError::WouldBlock { output: output.index });
        }
        self.send(output, values)
    }

    /// Sends `len` elements that `write` puts in place: no copy.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[inline]
    pub fn send_with<T: Primitive>(
        &mut self,
        output: &Out<T>,
        len: usize,
        write: impl FnOnce(&mut [T]),
    ) -> Result<(), RtError> {
        let mut loan = self.loan(output, len)?;
        write(&mut loan);
        self.hand_over(loan, false)
    }

    /// A slot to write `len` elements into; [`publish`](Self::publish) sends it, dropping it does not.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Real time
    /// No allocation, no lock, no system call.
    #[inline]
    pub fn loan<T: Primitive>(&mut self, output: &Out<T>, len: usize) -> Result<Loan<T>, RtError> {
        if len > output.most {
            return Err(RtError::TooLarge { output: output.index });
        }
        let loan = self.outbox.try_loan(output.index, len * size_of::<T>(), 0);
        loan.map(|inner| Loan::new(inner, output.index)).map_err(|e| small(output.index, e))
    }

    /// Sends a loan. Waits while a `backpressure` reader is full.
    ///
    /// # Errors
    /// [`RtError::Closed`].
    ///
    /// # Real time
    /// As [`send`](Self::send); the payload is not touched, so the cost does not depend on its size.
    #[inline]
    pub fn publish<T: Primitive>(&mut self, loan: Loan<T>) -> Result<(), RtError> {
        self.hand_over(loan, false)
    }

    /// As [`publish`](Self::publish), but gives the loan back instead of waiting.
    ///
    /// # Errors
    /// [`RtError::WouldBlock`] or [`RtError::Closed`], with the loan.
    #[expect(clippy::result_large_err, reason = "gives the loan back; a box would allocate")]
    #[inline]
    pub fn try_publish<T: Primitive>(&mut self, loan: Loan<T>) -> Result<(), (RtError, Loan<T>)> {
        let output = loan.output;
        if self.outbox.is_closed(output) {
            return Err((RtError::Closed { output }, loan));
        }
        if self.outbox.would_block(output) {
            return Err((RtError::WouldBlock { output }, loan));
        }
        let sent = self.hand_over(loan, false);
        debug_assert!(sent.is_ok(), "an open output of a loan takes it");
        Ok(())
    }

    #[inline]
    fn hand_over<T: Primitive>(&mut self, mut loan: Loan<T>, copied: bool) -> Result<(), RtError> {
        let output = loan.output;
        let sent = self.outbox.try_send(output, &mut loan.inner, T::TYPE_ID, 0, copied);
        sent.map(drop).map_err(|e| small(output, e))
    }

    /// Somebody reads this output now.
    ///
    /// # Real time
    /// No allocation, no system call.
    #[inline]
    pub fn has_readers<T>(&mut self, output: &Out<T>) -> bool {
        self.outbox.has_readers(output.index)
    }

    /// Sends no more on this output; its readers are told after what is queued. Talks to the daemon.
    pub fn close<T>(&mut self, output: Out<T>) {
        self.outbox.close(&[output.index]);
    }
}

#[inline]
fn small(output: u32, error: SendError) -> RtError {
    match error {
        SendError::Loan(LoanError::TooLarge { .. }) => RtError::TooLarge { output },
        SendError::Loan(LoanError::NoSlot) => RtError::NoSlot { output },
        SendError::Closed | SendError::Unknown => RtError::Closed { output },
    }
}
