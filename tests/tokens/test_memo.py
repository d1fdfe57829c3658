from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from llmopt.tokens.memo import Memo


class Counting:
    def __init__(self):
        self.asked = []

    def __call__(self, text):
        self.asked.append(text)
        return len(text)


def test_each_text_is_counted_once():
    count = Counting()
    memo = Memo(count)
    assert [memo["ab"], memo["ab"], memo["c"]] == [2, 2, 1]
    assert count.asked == ["ab", "c"]


def test_texts_in_use_survive_and_others_are_forgotten():
    count = Counting()
    memo = Memo(count, max_chars=1010)  # ten entries of one character
    for number in range(100):
        memo["used"]
        memo[chr(200 + number)]
    assert count.asked.count("used") == 1
    assert chr(200) not in memo
    memo[chr(200)]
    assert count.asked.count(chr(200)) == 2


def test_a_text_of_the_old_generation_comes_back_uncounted():
    count = Counting()
    memo = Memo(count, max_chars=202)
    for text in "abc":
        memo[text]
    assert set(memo) == {"c"}
    assert memo["a"] == 1
    assert count.asked == ["a", "b", "c"]


def test_long_texts_are_counted_and_not_kept():
    memo = Memo(len, max_chars=800)
    assert memo["x" * 101] == 101
    assert not memo
    assert memo["x" * 100] == 100
    assert len(memo) == 1


@given(st.lists(st.text(max_size=30), max_size=60))
def test_the_numbers_are_right_and_the_size_is_bounded(texts):
    memo = Memo(len, max_chars=1000)
    for text in texts:
        assert memo[text] == len(text)
        assert sum(len(held) + 100 for held in memo) <= 1000
        assert sum(len(held) + 100 for held in memo._old) <= 1000


def test_nobody_waits_for_the_memo():
    memo = Memo(len)
    with memo._lock:
        assert memo["abc"] == 3
    assert "abc" not in memo
    assert memo["abc"] == 3
    assert "abc" in memo


def test_threads_get_right_numbers():
    memo = Memo(len, max_chars=2000)
    texts = ["x" * (number % 37) for number in range(2000)]
    with ThreadPoolExecutor(4) as pool:
        totals = [pool.submit(lambda: sum(map(memo.__getitem__, texts))) for _ in range(8)]
    assert {total.result() for total in totals} == {sum(map(len, texts))}
