use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(20);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn users() -> Vec<User> {
    let user = |name: &str, password: &str, cost| {
        let hash = bcrypt::hash_with_salt(password, cost, [7; 16]).unwrap().to_string();
        User { name: name.to_string(), hash, cost }
    };
    vec![user("alice", "wonder land", 4), user("bob", "builder", 5)]
}

async fn check(passwords: &Passwords, name: &str, password: &str) -> Verdict {
    timeout(SOON, passwords.check(&users(), HERE, name, password.as_bytes())).await.unwrap()
}

#[tokio::test]
async fn a_name_goes_with_its_own_password() {
    let passwords = Passwords::new().unwrap();
    // Twice: from the hash, then from memory.
    for _ in 0..2 {
        for (name, password, verdict) in [
            ("alice", "wonder land", Verdict::Good),
            ("bob", "builder", Verdict::Good),
            ("alice", "builder", Verdict::Bad),
            ("alice", "wonder lan", Verdict::Bad),
            ("alice", "", Verdict::Bad),
            ("Alice", "wonder land", Verdict::Bad),
            ("carol", "wonder land", Verdict::Bad),
            // What an unknown name is checked against is nobody's password but bob's.
            ("carol", "builder", Verdict::Bad),
            ("", "builder", Verdict::Bad),
        ] {
            assert_eq!(check(&passwords, name, password).await, verdict, "{name}:{password}");
        }
    }
    assert_eq!(timeout(SOON, passwords.check(&[], HERE, "alice", b"")).await.unwrap(), Verdict::Bad);
}

#[tokio::test]
async fn a_user_who_is_added_is_let_in_whatever_was_remembered() {
    let passwords = Passwords::new().unwrap();
    assert_eq!(check(&passwords, "carol", "builder").await, Verdict::Bad);
    let mut users = users();
    users.push(User { name: "carol".to_string(), ..users[1].clone() });
    assert_eq!(timeout(SOON, passwords.check(&users, HERE, "carol", b"builder")).await.unwrap(), Verdict::Good);
}

#[tokio::test]
async fn a_changed_password_is_checked_anew() {
    let passwords = Passwords::new().unwrap();
    assert_eq!(check(&passwords, "alice", "wonder land").await, Verdict::Good);
    let mut users = users();
    users[0].hash = bcrypt::hash_with_salt("new", 4, [8; 16]).unwrap().to_string();
    for (password, verdict) in [("wonder land", Verdict::Bad), ("new", Verdict::Good)] {
        assert_eq!(timeout(SOON, passwords.check(&users, HERE, "alice", password.as_bytes())).await.unwrap(), verdict);
    }
}

#[tokio::test]
async fn wrong_passwords_push_no_right_one_out() {
    let passwords = Passwords::new().unwrap();
    assert_eq!(check(&passwords, "alice", "wonder land").await, Verdict::Good);
    let hash = &users()[0].hash;
    let mut shared = lock(&passwords.shared);
    for guess in 0..REMEMBERED_WRONG + 10 {
        shared.remember(passwords.tag("alice", hash, &guess.to_le_bytes()), false);
    }
    assert!(shared.right.contains(&passwords.tag("alice", hash, b"wonder land")));
    assert_eq!((shared.right.len(), shared.wrong.len()), (1, REMEMBERED_WRONG));
}

/// It must not show itself by being refused sooner.
#[tokio::test]
async fn an_unknown_name_is_checked_against_the_dearest_hash() {
    let passwords = Passwords::new().unwrap();
    check(&passwords, "nobody", "guess").await;
    let dearest = &users()[1].hash;
    assert!(lock(&passwords.shared).wrong.contains(&passwords.tag("nobody", dearest, b"guess")));
}

#[test]
fn nothing_readable_is_remembered() {
    let (one, other) = (Passwords::new().unwrap(), Passwords::new().unwrap());
    assert_ne!(one.tag("a", "h", b"p"), other.tag("a", "h", b"p"), "the key is a constant");
    assert_ne!(one.tag("a", "h", b"p"), one.tag("ah", "", b"p"), "the parts run together");
    assert_eq!(one.tag("a", "h", b"p"), one.tag("a", "h", b"p"));
}

fn job(name: &str) -> (Job, oneshot::Receiver<bool>) {
    let (answer, answered) = oneshot::channel();
    (Job { tag: Tag::default(), hash: name.to_string(), password: Box::default(), answer }, answered)
}

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

#[test]
fn each_address_has_its_turn() {
    let mut queue = Queue::default();
    let mut kept = Vec::new();
    for (from, name) in [(1, "flood 1"), (1, "flood 2"), (1, "flood 3"), (2, "scrape"), (3, "other")] {
        let (job, answered) = job(name);
        queue.push(address(from), job);
        kept.push(answered);
    }
    let order: Vec<String> = std::iter::from_fn(|| queue.pop()).map(|job| job.hash).collect();
    assert_eq!(order, ["flood 1", "scrape", "other", "flood 2", "flood 3"]);
}

#[test]
fn the_longest_queue_makes_room() {
    let mut queue = Queue::default();
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
fn whoever_has_gone_is_passed_over() {
    let mut queue = Queue::default();
    let (gone, _) = job("gone");
    queue.push(address(1), gone);
    assert!(queue.pop().is_none());
}

#[test]
fn a_network_is_what_one_client_can_hardly_choose() {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(network(address("2001:db8::1")), network(address("2001:db8::2:3:4:5")));
    assert_ne!(network(address("2001:db8::1")), network(address("2001:db8:0:1::1")));
    assert_ne!(network(address("192.0.2.1")), network(address("192.0.2.2")));
    assert_eq!(network(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    assert_eq!(network(Ipv6Addr::LOCALHOST.into()), address("::"));
}
