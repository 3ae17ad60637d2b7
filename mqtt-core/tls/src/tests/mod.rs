mod authority;
mod clients;
mod local;
mod reload;
mod servers;
