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
            (Code::POST, Ok(identity)) if identity.client_id.is_none() => {
                Message::diagnostic(Code::BAD_REQUEST, "A connection needs a clientid.")
            }
            (Code::POST, Ok(_)) if matches!(self.session, Session::Lent(_)) => {
                Message::diagnostic(Code::CONFLICT, "The session of this peer is that of its registration.")
            }
            (Code::POST, Ok(_)) if matches!(self.session, Session::Opening(_)) => {
                return self.wait(request, turn);
            }
            (Code::POST, Ok(identity)) => {
                return self.connect(identity.without_token(), Some(request.reply_to), turn);
            }
            (_, Ok(identity)) => match self.session.admit(&identity) {
                Admission::Wait => return self.wait(request, turn),
                Admission::Proceed if message.code() == Code::PUT => Message::response(Code::CHANGED),
                Admission::Proceed if matches!(self.session, Session::Open(..)) => {
                    self.leave(turn);
                    Message::response(Code::DELETED)
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
