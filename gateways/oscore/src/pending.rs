use std::sync::Arc;

use crate::class::OBSERVE;
use crate::{Message, OSCORE, PartialIv, SecurityContext};

/// A request to the other endpoint, whose answers must be bound to it.
#[derive(Debug)]
pub struct Pending {
    context: Arc<SecurityContext>,
    partial_iv: PartialIv,
    /// Whether it registers an observation.
    registers: bool,
    /// Whether an answer used the nonce of the request.
    answered: bool,
    /// The largest Partial IV of a notification [RFC8613 4.1.3.5.2].
    notification: Option<PartialIv>,
    /// How many notifications were taken.
    taken: u32,
}

/// Why an answer is not taken; whoever waits goes on waiting [RFC8613 8.4].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// A good answer without protection: somebody else's.
    #[error("the answer is not protected")]
    Unprotected,
    /// It was encrypted with another key, belongs to another request, or was changed on its way.
    #[error("the answer is not that of the other endpoint to this request")]
    NotVerified,
    /// It came before, or something newer did.
    #[error("the answer is old")]
    Old,
    /// It has Observe, and the request had not.
    #[error("the answer is a notification that nobody asked for")]
    NotAskedFor,
}

impl Pending {
    pub(crate) fn new(context: Arc<SecurityContext>, partial_iv: PartialIv, registers: bool) -> Self {
        Self { context, partial_iv, registers, answered: false, notification: None, taken: 0 }
    }

    /// The context that it was protected with.
    pub fn context(&self) -> &Arc<SecurityContext> {
        &self.context
    }

    /// Reads an answer. An error that is not protected is passed on as it is: anybody may have sent it.
    ///
    /// Notifications come out numbered in their order, whatever the outer Observe option says.
    pub fn open(&mut self, response: Message) -> Result<Message, ResponseError> {
        if response.option(OSCORE).is_none() {
            return if response.is_success() { Err(ResponseError::Unprotected) } else { Ok(response) };
        }
        let opened = self.context.open_response(&response, self.partial_iv);
        let (mut answer, own) = opened.ok_or(ResponseError::NotVerified)?;
        let notifies = answer.option(OBSERVE).is_some();
        if notifies && !self.registers {
            return Err(ResponseError::NotAskedFor); // [RFC8613 4.1.3.5.2]
        }
        match own {
            None if self.answered || self.notification.is_some() => return Err(ResponseError::Old), // [RFC8613 8.4.2]
            None => self.answered = true,
            Some(_) if !self.registers && self.answered => return Err(ResponseError::Old), // [RFC8613 7.4]
            Some(own) if self.notification.is_some_and(|largest| own <= largest) => {
                return Err(ResponseError::Old); // [RFC8613 7.4.1]
            }
            Some(own) => {
                self.notification = Some(own); // [RFC8613 7.4.1]
                self.answered |= !self.registers;
            }
        }
        if notifies {
            self.taken = (self.taken + 1) & 0x00FF_FFFF;
            answer.remove(OBSERVE);
            let number = self.taken.to_be_bytes();
            answer.options.push((OBSERVE, number.into_iter().skip_while(|byte| *byte == 0).collect()));
            answer.options.sort_by_key(|(number, _)| *number);
        }
        Ok(answer)
    }
}
