//! The interfaces that take multicast, by the numbers that the system gives them.

use std::net::Ipv6Addr;

/// Those of an IP version that there are now. Where the system does not tell, 0 stands for the one that it chooses.
pub(super) fn all(is_v6: bool) -> Vec<u32> {
    let memberships = if is_v6 { "/proc/net/igmp6" } else { "/proc/net/igmp" };
    std::fs::read_to_string(memberships).map_or_else(|_| vec![0], |text| numbers(&text))
}

/// The one that has an address now, if there is any.
pub(super) fn with(address: Ipv6Addr) -> Vec<u32> {
    let read = std::fs::read_to_string("/proc/net/if_inet6");
    read.map_or_else(|_| vec![0], |text| owner(&text, address).into_iter().collect())
}

/// An interface that is up has joined the group of all machines; its number begins a line.
fn numbers(memberships: &str) -> Vec<u32> {
    let lines = memberships.lines().filter(|line| !line.starts_with(char::is_whitespace));
    let mut numbers: Vec<u32> =
        lines.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    numbers.dedup();
    numbers
}

/// A line is an address, the number of its interface, both in hexadecimal, and more.
fn owner(addresses: &str, address: Ipv6Addr) -> Option<u32> {
    let wanted = format!("{:032x}", address.to_bits());
    let number = addresses.lines().find_map(|line| line.strip_prefix(&*wanted)?.split_whitespace().next())?;
    u32::from_str_radix(number, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_as_linux_tells_them() {
        let v4 = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
                  1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n\
                  12\teth0      :     1      V3\n\t\t\t\tBB0100E0     1 0:00000000\t\t0\n\
                  \t\t\t\t010000E0     1 0:00000000\t\t0\n";
        assert_eq!(numbers(v4), [1, 12]);
        let v6 = "1    lo              ff020000000000000000000000000001     1 0000000C 0\n\
                  1    lo              ff010000000000000000000000000001     1 00000008 0\n\
                  12   eth0            ff020000000000000000000000000001     1 0000000C 0\n";
        assert_eq!(numbers(v6), [1, 12]);
        assert_eq!(numbers(""), []);
    }

    #[test]
    fn an_address_is_found_on_its_interface() {
        let addresses = "fe80000000000000c0b8eafffec6c22d 0c 40 20 80     eth0\n\
                         00000000000000000000000000000001 01 80 10 80       lo\n";
        assert_eq!(owner(addresses, Ipv6Addr::LOCALHOST), Some(1));
        assert_eq!(owner(addresses, "fe80::c0b8:eaff:fec6:c22d".parse().unwrap()), Some(12));
        assert_eq!(owner(addresses, "fe80::1".parse().unwrap()), None);
    }
}
