//! `mqtt/connection`: a session with a token, as EMQX has it.

use crate::pubsub::identity::Identity;
use crate::pubsub::session::{Admission, Session};
use crate::pubsub::{PubSub, Turn};
use crate::{Code, Message, Request};

impl PubSub {
    /// Connection mode: POST opens a session and gives a token, PUT keeps it, DELETE ends it.
    pub(in crate::pubsub) fn handle_connection(&mut self, request: Request, turn: &mut Turn<'_>) {
        let message = &request.message;
        let answer = match (message.code(), Identity::of(&request)) {
            (_, Err(answer)) => answer,
            (_, Ok(_)) if self.is_settling() => return self.wait(request, turn),
            (Code::POST, Ok(identity)) if identity.client_id.is_none() => {
                Message::diagnostic(Code::BAD_REQUEST, "A connection needs a clientid.")
            }
            (Code::POST, Ok(_)) if matches!(self.session, Session::Lent(_)) => {
                Message::diagnostic(Code::CONFLICT, "The session of this peer is that of its registration.")
            }
            (Code::POST, Ok(identity)) => {
                if let Some(Request { reply_to, .. }) = self.may_leave(&identity, request, turn) {
                    self.connect(identity.without_token(), &reply_to, true, turn);
                }
                return;
            }
            (_, Ok(identity)) => match self.session.admit(&identity) {
                Admission::Proceed if message.code() == Code::PUT => Message::response(Code::CHANGED),
                Admission::Proceed if matches!(self.session, Session::Open(..)) => {
                    let Some(Request { reply_to, .. }) = self.may_leave(&identity, request, turn) else {
                        return;
                    };
                    self.leave(turn);
                    turn.respond(&reply_to, Message::response(Code::DELETED));
                    return;
                }
                Admission::Proceed | Admission::Open => {
                    Message::diagnostic(Code::UNAUTHORIZED, "There is no such connection.")
                }
                Admission::Refuse(why) => Message::diagnostic(Code::UNAUTHORIZED, why),
            },
        };
        turn.respond(&request.reply_to, answer);
    }
}
