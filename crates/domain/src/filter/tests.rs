use super::*;
use proptest::prelude::*;

fn jobs(text: &str) -> Filter {
    Filter::parse(text, List::Jobs).unwrap_or_else(|refusal| panic!("{text}: {refusal}"))
}

/// `text -> text as it is printed`, or the place and the reason of the refusal.
fn said(list: List, texts: &[&str]) -> String {
    let line = |text: &&str| match Filter::parse(text, list) {
        Ok(filter) => format!("{text} -> {filter}\n"),
        Err(refusal) => format!("{text} -> {}: {refusal}\n", refusal.at),
    };
    texts.iter().map(line).collect()
}

#[test]
fn what_is_typed_is_printed_in_one_way_or_refused_with_the_reason() {
    let texts = [
        "",
        "  state:discarded   queue:mux rec:9f3* ",
        r#"err:"Slow Down" attempt:>=3 state:ended age:>90m worker:w12 -queue:preview"#,
        "state:running,retryable,running age:<1h30m",
        "state:available,pending,scheduled,running,retryable",
        "-state:completed kind:mux",
        "kind:mux",
        "timeout",
        r#""503 Slow \"Down\"" state:discarded"#,
        "err:a:b",
        "state:run",
        "state:gone",
        "stat:running",
        "attempt:>=3",
        "-queue:preview",
        "age:10 state:live",
        "state:live state:ended",
        "queue:mux queue:mux",
        "state:live attempt:x",
        "rec:a/b",
        "rec:*",
        "queue:",
        r#"err:"open"#,
        "owner:eu-7",
        "kind:unheard_of",
        "kind:unheard_of queue:mux",
    ];
    expect_test::expect![[r#"
         -> 
          state:discarded   queue:mux rec:9f3*  -> state:discarded queue:mux rec:9f3*
        err:"Slow Down" attempt:>=3 state:ended age:>90m worker:w12 -queue:preview -> err:"Slow Down" attempt:>=3 state:ended age:>90m worker:w12 -queue:preview
        state:running,retryable,running age:<1h30m -> state:running,retryable age:<90m
        state:available,pending,scheduled,running,retryable -> state:live
        -state:completed kind:mux -> -state:completed kind:mux
        kind:mux -> kind:mux
        timeout -> err:timeout
        "503 Slow \"Down\"" state:discarded -> err:"503 Slow \"Down\"" state:discarded
        err:a:b -> err:a:b
        state:run -> 0: there is no state "run"; do you mean running?
        state:gone -> 0: there is no state "gone"; there are pending, scheduled, available, running, retryable, completed, discarded, cancelled, superseded
        stat:running -> 0: there is no stat:; there are state, queue, kind, rec, owner, err, attempt, age, worker
        attempt:>=3 -> 0: attempt: only narrows a list down; put state:, queue:, kind: or rec: beside it
        -queue:preview -> 0: -queue: only narrows a list down; put state:, queue:, kind: or rec: beside it
        age:10 state:live -> 0: age: needs a time, as in age:>10m (s, m, h, d)
        state:live state:ended -> 11: state: stands twice, and nothing is both; several states are written state:a,b
        queue:mux queue:mux -> 10: queue: stands twice, and nothing is both
        state:live attempt:x -> 11: attempt: needs a number, as in attempt:>=3
        rec:a/b -> 0: an id is 1 to 64 characters of A-Z a-z 0-9 _ -; a * at its end stands for any
        rec:* -> 0: an id is 1 to 64 characters of A-Z a-z 0-9 _ -; a * at its end stands for any
        queue: -> 0: queue: needs a value
        err:"open -> 4: this quotation mark is not closed
        owner:eu-7 -> 0: owner: only narrows a list down; put state:, queue:, kind: or rec: beside it
        kind:unheard_of -> 0: kind: only narrows a list down; put state:, queue:, kind: or rec: beside it
        kind:unheard_of queue:mux -> kind:unheard_of queue:mux
    "#]].assert_eq(&said(List::Jobs, &texts));
    let texts = [
        "9f3",
        "9f3*",
        "state:live,failed owner:eu-7",
        "rec:r1",
        "queue:mux",
        "age:>1d",
        "err:gone",
        "state:running",
        "-state:ready",
        "owner:a b",
    ];
    expect_test::expect![[r#"
        9f3 -> rec:9f3*
        9f3* -> rec:9f3*
        state:live,failed owner:eu-7 -> state:live,failed owner:eu-7
        rec:r1 -> rec:r1
        queue:mux -> 0: queue: is asked of jobs, not of recordings; here are state, owner, rec, err, age
        age:>1d -> 0: age: only narrows a list down; put state:, owner: or rec: beside it
        err:gone -> err:gone
        state:running -> 0: there is no state "running"; there are live, finalizing, ready, failed, archived, cancelled, deleted
        -state:ready -> -state:ready
        owner:a b -> owner:a rec:b*
    "#]].assert_eq(&said(List::Recordings, &texts));
}

#[test]
fn what_a_filter_lets_through_is_asked_of_it() {
    let filter = jobs("-state:completed,superseded kind:mux rec:r1");
    assert_eq!(filter.standings().len(), 7);
    assert_eq!((filter.queue(), filter.owner()), (Some("mux"), None));
    assert_eq!(filter.recording(), Some(&Pattern::Exact("r1".into())));
    assert_eq!(jobs("kind:noop state:live").queue(), None);
    let states = Filter::parse("-state:archived owner:o", List::Recordings).unwrap().states();
    assert!(!states.contains(&recording::State::Archived) && states.len() == 6);
}

#[test]
fn suggestions_go_on_with_the_last_word() {
    assert_eq!(suggest("st", List::Jobs), ["state:"]);
    assert_eq!(suggest("queue:mux -k", List::Jobs), ["-kind:"]);
    assert_eq!(suggest("state:re", List::Jobs), ["state:retryable"]);
    assert_eq!(suggest("state:running,c", List::Jobs), ["state:running,completed", "state:running,cancelled"]);
    assert_eq!(suggest("kind:man", List::Jobs), ["kind:manifest_check"]);
    assert_eq!(suggest("", List::Recordings), ["state:", "owner:", "rec:", "err:", "age:"]);
    assert_eq!(suggest("state:l", List::Recordings), ["state:live"]);
    assert!(suggest("queue:m", List::Recordings).is_empty() && suggest("err:x", List::Jobs).is_empty());
}

/// Every suggestion of a whole word is read.
#[test]
fn a_suggested_state_is_a_filter() {
    for list in [List::Jobs, List::Recordings] {
        for word in suggest("state:", list) {
            assert!(Filter::parse(&word, list).is_ok(), "{word}");
        }
    }
}

fn test_of(list: List) -> impl Strategy<Value = Test> {
    let compare = || {
        prop::sample::select(vec![Compare::Equal, Compare::Above, Compare::AtLeast, Compare::Below, Compare::AtMost])
    };
    let states = match list {
        List::Jobs => {
            prop::sample::subsequence(Standing::all().collect::<Vec<_>>(), 1..=9).prop_map(Test::Standing).boxed()
        }
        List::Recordings => {
            prop::sample::subsequence(recording::State::ALL.to_vec(), 1..=7).prop_map(Test::State).boxed()
        }
    };
    let both = prop_oneof![
        states,
        "[A-Za-z0-9_-]{1,64}".prop_map(|id| Test::Recording(Pattern::Exact(id))),
        "[A-Za-z0-9_-]{1,64}".prop_map(|id| Test::Recording(Pattern::Prefix(id))),
        "[A-Za-z0-9_-]{1,64}".prop_map(Test::Owner),
        "[^\\p{Cc}]{1,30}".prop_map(Test::Error),
        (compare(), 0u64..1_000_000).prop_map(|(c, s)| {
            let c = if c == Compare::Equal { Compare::AtLeast } else { c };
            Test::Age(c, Duration::from_secs(s))
        }),
    ];
    match list {
        List::Recordings => both.boxed(),
        List::Jobs => prop_oneof![
            both,
            "[A-Za-z0-9_.-]{1,64}".prop_map(Test::Queue),
            "[A-Za-z0-9_.-]{1,64}".prop_map(Test::Kind),
            "[A-Za-z0-9_.-]{1,64}".prop_map(Test::Worker),
            (compare(), any::<u32>()).prop_map(|(c, n)| Test::Attempt(c, n)),
        ]
        .boxed(),
    }
}

proptest! {
    /// Whatever can be meant can be written down and is read back as itself.
    #[test]
    fn what_is_printed_is_read_back(list in prop::sample::select(vec![List::Jobs, List::Recordings]), seed in any::<u32>(),
        terms in prop::collection::vec((any::<bool>(), test_of(List::Jobs), test_of(List::Recordings)), 1..6)) {
        let terms = terms.into_iter().map(|(negated, job, recording)| Term { negated, test: if list == List::Jobs { job } else { recording } });
        let filter = Filter { terms: terms.collect() };
        let text = filter.to_string();
        match Filter::parse(&text, list) {
            Ok(read) => prop_assert_eq!(read, filter, "{}: {}", seed, text),
            Err(refusal) => prop_assert!(
                refusal.why.contains("twice") || refusal.why.contains("narrows"),
                "{}: {}", text, refusal
            ),
        }
    }

    /// Whatever is typed is read or refused, and what is read is printed and read back as itself.
    #[test]
    fn nothing_that_is_typed_breaks_it(text in any::<String>(), likely in "[-a-z:\"\\\\ *>=,0-9]{0,60}") {
        for text in [text, likely] {
            for list in [List::Jobs, List::Recordings] {
                match Filter::parse(&text, list) {
                    Ok(filter) => {
                        prop_assert_eq!(Filter::parse(&filter.to_string(), list), Ok(filter));
                    }
                    Err(refusal) => prop_assert!(refusal.at <= text.len() && !refusal.why.is_empty()),
                }
                let _ = suggest(&text, list);
            }
        }
    }
}
