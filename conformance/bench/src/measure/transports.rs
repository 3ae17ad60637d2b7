use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::process;
use crate::subject::{Broker, Carrier, Manner, Subject};
use crate::table::{Figure, Measure};

/// Pairs, with our own client for the load: TLS, WebSocket and QUIC by hand would be too much of a good thing.
pub(crate) fn transport(
    carrier: Carrier,
    client: &Path,
    subject: &Subject,
    manner: Manner,
    span: Duration,
) -> Result<Vec<Figure>, String> {
    let broker = subject.start(Manner { carrier, ..manner })?;
    // One second in which everybody connects and starts, those that count, and one that ends too late to count.
    let seconds = span.as_secs().max(1) + 2;
    let url = format!("{}://localhost:{}", carrier.scheme(), broker.address.port());
    let mut command = Command::new(client);
    command.args(["bench", "pairs", "--clients", "50", "--threads", "1", "--seconds", &seconds.to_string()]);
    command.args(["--url", &url]);
    if carrier.is_secure() {
        command.arg("--insecure");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = process::start(&mut command, manner.pinned.then_some(process::LOAD_CORE))?;
    let counted = count(&mut child, &broker, seconds as usize - 2);
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("the load failed: {text}"));
    }
    for fault in ["lost", "duplicates", "out of order"] {
        if column(&text, fault) != Some(0) {
            return Err(format!("{fault}: {text}"));
        }
    }
    let (cost, deliveries) = counted?;
    let each = cost.as_secs_f64() * 1e6 / deliveries.max(1) as f64;
    Ok(vec![Figure::new(Measure::Transports, format!("pairs over {}", carrier.scheme()), each)])
}

/// Reads the line that comes each second, and the broker's CPU time with the first and with the one so many later.
fn count(child: &mut Child, broker: &Broker, seconds: usize) -> Result<(Duration, u64), String> {
    let cpu = || broker.cpu().ok_or_else(|| "the broker has ended".to_owned());
    let mut lines = BufReader::new(child.stderr.take().ok_or("the load has no output")?).lines();
    let mut said = String::new();
    let mut next = || loop {
        let line =
            lines.next().and_then(Result::ok).ok_or_else(|| format!("the load ended early: {said}"))?;
        if let Some(received) = received(&line) {
            return Ok::<_, String>(received);
        }
        said += &line;
    };
    next()?;
    let before = cpu()?;
    let mut deliveries = 0;
    for _ in 0..seconds {
        deliveries += next()?;
    }
    let cost = cpu()? - before;
    // What is not read would stop the load in the end.
    std::thread::spawn(move || lines.count());
    Ok((cost, deliveries))
}

/// The number behind "received" in a line of a second.
fn received(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("received")?;
    rest.split_once("/s")?.0.trim().parse().ok()
}

/// The number in the row of the load's result that begins so.
fn column(text: &str, name: &str) -> Option<u64> {
    let row = text.lines().find_map(|line| line.trim_start().strip_prefix(name))?;
    row.split_whitespace().next()?.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_load_says_is_understood() {
        assert_eq!(received("    3 s  sent    120000/s  received    119990/s  p99 1.2ms"), Some(119_990));
        assert_eq!(received("watersmeet: nothing is there"), None);
        let text = "pairs: 50 clients\n  lost                       0\n  out of order           1,200\n";
        assert_eq!(column(text, "lost"), Some(0));
        assert_eq!(column(text, "out of order"), Some(1_200));
        assert_eq!(column(text, "duplicates"), None);
    }
}
