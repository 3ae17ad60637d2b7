use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// One MQTT, MQTT-SN, CoAP, LwM2M and STOMP server: all of them see the same topics.
///
/// Without a command it serves. No configuration file is read unless one is named by --config or by the
/// variable WATERSMEET_CONFIG; each key can also be set by a variable WATERSMEET_SECTION__KEY.
#[derive(Debug, Parser)]
#[command(name = "watersmeet", version)]
pub(crate) struct Cli {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve clients until SIGTERM or SIGINT; SIGHUP reads the configuration again
    Serve(Serve),
    /// Check the configuration and tell what is wrong with it
    Check,
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Ask a running server whether it is alive; the exit code tells
    Health,
    /// Read a password and print the user's entry for the configuration file
    Passwd {
        /// The user name
        name: String,
        /// Let the user do everything, whatever the rules say
        #[arg(long)]
        superuser: bool,
    },
    /// Add, remove or list the pre-shared keys of devices
    ///
    /// A running server takes a change up by itself.
    Psk {
        #[command(subcommand)]
        command: PskCommand,
        /// The file with the keys; access.psk_file of the configuration if left out
        #[arg(short, long, value_name = "FILE", global = true)]
        file: Option<PathBuf>,
    },
    /// Tell whether a client is connected, and why its last connections ended
    Why {
        /// The client's id
        client_id: String,
        /// How it is printed
        #[arg(short, long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Ask the access rules of the configuration
    Authz {
        #[command(subcommand)]
        command: AuthzCommand,
    },
    /// Publish messages, with the flags of mosquitto_pub
    Pub(Words),
    /// Subscribe and print messages, with the flags of mosquitto_sub
    Sub(Words),
    /// Publish a request and print the response, with the flags of mosquitto_rr
    Rr(Words),
    /// Load a server and tell how it did
    Bench(Words),
}

/// How something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PskCommand {
    /// Add a key, or replace the one that the identity has, and print IDENTITY:KEY
    Add {
        /// The identity
        identity: String,
        /// The key in hexadecimal; a random one if left out
        #[arg(long, value_name = "HEX", conflicts_with = "bytes")]
        key: Option<String>,
        /// How many bytes a random key has
        #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u8).range(16..=64))]
        bytes: u8,
    },
    /// Remove the key of an identity; a client that is connected with it is closed
    Remove {
        /// The identity
        identity: String,
    },
    /// Print the identities
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuthzCommand {
    /// Print how one access is judged: each rule that is looked at, why it matches or not, and what is decided
    ///
    /// The client is taken at its word; no password is asked for. Nothing of a running server is needed, and bans that
    /// were pronounced there are not known here.
    Explain(Explain),
}

#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// The client id
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: String,
    /// The user name; without one the client is anonymous
    #[arg(long, value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// The address it comes from
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) address: String,
    /// The listener it comes through
    #[arg(long, value_name = "NAME", default_value = "mqtt")]
    pub(crate) listener: String,
    /// The protocol it speaks, with its version
    #[arg(long, value_name = "PROTOCOL", default_value = "MQTT 5")]
    pub(crate) protocol: String,
    /// A user property of its CONNECT; can be given again
    #[arg(long = "user-property", value_name = "NAME=VALUE")]
    pub(crate) user_properties: Vec<String>,
    #[command(flatten)]
    pub(crate) wanted: Wanted,
    /// The QoS asked for: 0, 1 or 2
    #[arg(long, default_value_t = 0)]
    pub(crate) qos: u8,
    /// Whether what it publishes is to be retained
    #[arg(long)]
    pub(crate) retain: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Wanted {
    /// It wants to publish on this topic
    #[arg(long, value_name = "TOPIC")]
    pub(crate) publish: Option<String>,
    /// It wants to subscribe to this topic filter
    #[arg(long, value_name = "FILTER")]
    pub(crate) subscribe: Option<String>,
    /// It is to be given a message of this topic
    #[arg(long, value_name = "TOPIC")]
    pub(crate) receive: Option<String>,
}

/// The flags of a command that reads its own: it must be the first word.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct Words {
    #[arg(hide = true, num_args = 0.., allow_hyphen_values = true, trailing_var_arg = true)]
    words: Vec<std::ffi::OsString>,
}

#[derive(Args, Debug, Default)]
pub(crate) struct Serve {
    /// Write the addresses of all listeners to this file once they are open, as JSON:
    /// {"listeners":{"mqtt":"127.0.0.1:1883",…,"http":"127.0.0.1:18083"}}
    ///
    /// With it a listener may be bound to port 0, which takes any free port. The name http is that of the
    /// HTTP listener. The file appears whole, and is removed when the server stops.
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the configuration in force, without secrets
    Show {
        /// Say behind each value where it came from: default, FILE:LINE:COLUMN, or a variable
        #[arg(long)]
        origin: bool,
    },
}
