use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(20);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn user(name: &str, password: &str, cost: u32) -> User {
    let hash = bcrypt::hash_with_salt(password, cost, [7; 16]).unwrap().to_string();
    User { name: name.to_string(), hash, cost }
}

fn users() -> Vec<User> {
    vec![user("alice", "wonder land", 4), user("bob", "builder", 5)]
}

async fn check(passwords: &PasswordChecker, users: &[User], name: &str, password: &str) -> AuthOutcome {
    let credentials = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
    let headers = HeaderMap::from_iter([(AUTHORIZATION, credentials.parse().unwrap())]);
    timeout(SOON, passwords.check(users, &headers, HERE)).await.unwrap()
}

#[tokio::test]
async fn a_name_goes_with_its_own_password() {
    let passwords = PasswordChecker::new().unwrap();
    // Twice: from the hash, then from memory.
    for _ in 0..2 {
        for (name, password, outcome) in [
            ("alice", "wonder land", AuthOutcome::Good),
            ("bob", "builder", AuthOutcome::Good),
            ("alice", "builder", AuthOutcome::Bad),
            ("alice", "wonder lan", AuthOutcome::Bad),
            ("alice", "", AuthOutcome::Bad),
            ("Alice", "wonder land", AuthOutcome::Bad),
            ("carol", "builder", AuthOutcome::Bad),
            ("", "builder", AuthOutcome::Bad),
        ] {
            assert_eq!(check(&passwords, &users(), name, password).await, outcome, "{name}:{password}");
        }
    }
    assert_eq!(lock(&passwords.checker).right.len(), 2, "only right passwords of known names are remembered");
}

#[tokio::test]
async fn a_changed_password_is_checked_anew() {
    let passwords = PasswordChecker::new().unwrap();
    assert_eq!(check(&passwords, &users(), "alice", "wonder land").await, AuthOutcome::Good);
    let changed = [user("alice", "new", 4)];
    for (password, outcome) in [("wonder land", AuthOutcome::Bad), ("new", AuthOutcome::Good)] {
        assert_eq!(check(&passwords, &changed, "alice", password).await, outcome);
    }
}

/// How long a check takes must not tell whether there is such a user.
#[test]
fn every_name_takes_as_long_whatever_its_hash_costs() {
    let users = [user("cheap", "a", 4), user("expensive", "b", 9)];
    let took = ["cheap", "expensive", "nobody"].map(|name| {
        let user = users.iter().find(|user| user.name == name).cloned();
        let job = PasswordCheck { user, cost: 9, ..job("guess").0 };
        let check = |_| {
            let began = clock_gettime(ClockId::ThreadCPUTime);
            assert!(!job.is_right());
            Duration::try_from(clock_gettime(ClockId::ThreadCPUTime) - began).unwrap()
        };
        (0..5).map(check).min().unwrap()
    });
    let (least, most) = (took.iter().min().unwrap(), took.iter().max().unwrap());
    assert!(*most < *least * 2, "CPU time for a cheap, an expensive and an unknown user: {took:?}");
}

#[test]
fn nothing_readable_is_remembered() {
    let (one, other) = (PasswordChecker::new().unwrap(), PasswordChecker::new().unwrap());
    let user = |name: &str, hash: &str| User { name: name.to_string(), hash: hash.to_string(), cost: 4 };
    assert_ne!(one.mac(&user("a", "h"), b"p"), other.mac(&user("a", "h"), b"p"), "the key is a constant");
    assert_ne!(one.mac(&user("a", "h"), b"p"), one.mac(&user("ah", ""), b"p"), "the parts run together");
    assert_eq!(one.mac(&user("a", "h"), b"p"), one.mac(&user("a", "h"), b"p"));
}

fn job(name: &str) -> (PasswordCheck, oneshot::Receiver<bool>) {
    let (answer, answered) = oneshot::channel();
    (PasswordCheck { user: None, mac: None, cost: 4, password: name.as_bytes().into(), answer }, answered)
}

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

#[test]
fn addresses_take_turns() {
    let mut queue = CheckQueue::default();
    let mut kept = Vec::new();
    for (from, name) in [(1, "flood 1"), (1, "flood 2"), (1, "flood 3"), (2, "scrape"), (3, "other")] {
        let (job, answered) = job(name);
        queue.push(address(from), job);
        kept.push(answered);
    }
    let (gone, _) = job("gone");
    queue.push(address(4), gone);
    let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|job| job.password).collect();
    let order: Vec<_> = order.iter().map(|password| std::str::from_utf8(password).unwrap()).collect();
    assert_eq!(order, ["flood 1", "scrape", "other", "flood 2", "flood 3"]);
}

#[test]
fn the_longest_queue_makes_room() {
    let mut queue = CheckQueue::default();
    let mut flood: Vec<_> = (0..WAITING + 5)
        .map(|_| {
            let (job, answered) = job("flood");
            queue.push(address(1), job);
            answered
        })
        .collect();
    let (scrape, mut answered) = job("scrape");
    queue.push(address(2), scrape);
    let seen: Vec<_> = flood.iter_mut().map(oneshot::Receiver::try_recv).collect();
    assert_eq!(seen.iter().filter(|one| **one == Err(oneshot::error::TryRecvError::Closed)).count(), 6);
    assert_eq!(answered.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    assert_eq!(std::iter::from_fn(|| queue.pop()).count(), WAITING);
}

#[test]
fn one_site_with_many_ipv6_networks_drops_no_other_check() {
    let mut queue = CheckQueue::default();
    let mut waiting = Vec::new();
    for subnet in 0..100 {
        let (job, answered) = job("flood");
        queue.push(network(Ipv6Addr::new(0x2001, 0xdb8, 0, subnet, 0, 0, 0, 1).into()), job);
        waiting.push(answered);
    }
    let (scrape, mut answered) = job("scrape");
    queue.push(network(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1).into()), scrape);
    assert_eq!(answered.try_recv(), Err(oneshot::error::TryRecvError::Empty));
}

#[test]
fn a_network_is_what_one_client_can_hardly_choose() {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(network(address("2001:db8::1")), network(address("2001:db8:0:2:3:4:5:6")));
    assert_ne!(network(address("2001:db8::1")), network(address("2001:db8:1::1")));
    assert_eq!(network(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    assert_eq!(network(Ipv6Addr::LOCALHOST.into()), address("::"));
}
