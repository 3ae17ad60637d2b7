use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::pin::pin;
use std::task::Poll;

use clap::Args;
use dial::{Event, Line};
use mqtt::Received;

use crate::exit::say;
use crate::format::Format;

/// The flags that say how messages are printed.
#[derive(Args, Clone, Debug)]
pub(crate) struct Printing {
    /// Print the topic before each payload
    #[arg(short = 'v', long, help_heading = "Output")]
    verbose: bool,
    /// Print messages so: %t topic, %p payload, %j JSON, %q QoS, %r retained, %U time, …
    #[arg(short = 'F', value_name = "FORMAT", help_heading = "Output", long_help = FORMATS, allow_hyphen_values = true)]
    format: Option<String>,
    /// End no message with a new line
    #[arg(short = 'N', help_heading = "Output")]
    no_new_line: bool,
    /// Print JSON over many lines
    #[arg(long, help_heading = "Output")]
    pretty: bool,
    /// Leave out retained messages
    #[arg(short = 'R', help_heading = "Output")]
    pub(crate) no_retained: bool,
}

const FORMATS: &str = "\
Print messages so, with these parts:
  %t topic           %p payload            %x %X payload in hexadecimal
  %l payload length  %q QoS                %r 1 if retained, else 0
  %m packet id       %A topic alias        %S subscription identifier
  %C content type    %R response topic     %D correlation data
  %E message expiry  %F payload format     %P user properties
  %j all as JSON     %J all as JSON, with a payload that is JSON itself
  %I time, as ISO 8601                     %U time, as seconds since 1970
  @Y @m @d … what strftime(3) makes of %Y %m %d …; @N nanoseconds
  %% @@ \\\\ \\0 \\a \\e \\n \\r \\t \\v
A number behind % is the least width, one behind a further . the greatest; - puts text to the
left, and 0 fills numbers with zeros: %-20.20t %06l";

/// Prints messages, gathered until there is nothing more to do.
#[derive(Debug)]
pub(crate) struct Output {
    style: Style,
    end: &'static [u8],
    quiet: bool,
    waiting: Vec<u8>,
}

#[derive(Debug)]
enum Style {
    Payload,
    Verbose,
    Format(Format),
}

/// How much is gathered at most.
const GATHERED: usize = 64 << 10;

impl Printing {
    pub(crate) fn ready(&self, quiet: bool) -> anyhow::Result<Output> {
        let style = match &self.format {
            Some(format) => Style::Format(Format::parse(format, self.pretty)?),
            None if self.verbose => Style::Verbose,
            None => Style::Payload,
        };
        let end: &[u8] = if self.no_new_line { b"" } else { b"\n" };
        Ok(Output { style, end, quiet, waiting: Vec::new() })
    }
}

impl Output {
    /// Prints a message; one without payload is printed only where there is more to say of it.
    pub(crate) fn print(&mut self, message: &Received) -> io::Result<()> {
        let publish = &message.publish;
        match &self.style {
            Style::Payload if publish.payload.is_empty() => return Ok(()),
            Style::Payload => self.waiting.extend_from_slice(&publish.payload),
            Style::Verbose if publish.payload.is_empty() && self.end.is_empty() => return Ok(()),
            Style::Verbose => {
                let payload: &[u8] = if publish.payload.is_empty() { b"(null)" } else { &publish.payload };
                self.waiting.extend_from_slice(publish.topic.as_str().as_bytes());
                self.waiting.push(b' ');
                self.waiting.extend_from_slice(payload);
            }
            Style::Format(format) => {
                if let Err(error) = format.write(message, &mut self.waiting)
                    && !self.quiet
                {
                    say(&format!("watersmeet sub: {error}"));
                }
            }
        }
        self.waiting.extend_from_slice(self.end);
        if self.waiting.len() > GATHERED { self.flush() } else { Ok(()) }
    }

    /// Shows what was printed.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        let written = out.write_all(&self.waiting).and_then(|()| out.flush());
        self.waiting.clear();
        written
    }

    /// The next event; what was printed is shown before it is waited for.
    pub(crate) async fn next(&mut self, line: &mut Line) -> io::Result<Option<Event>> {
        let mut next = pin!(line.next());
        if let Poll::Ready(event) = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await {
            return Ok(event);
        }
        self.flush()?;
        Ok(next.await)
    }
}

/// Prints a text at once.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}
