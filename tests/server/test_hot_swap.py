"""What is exchanged while it is in use."""

from voicebot.server.hot_swap import HotSwap


class Book:
    """A thing that several may have."""


def shelf(first):
    gone = []
    return HotSwap(first, lambda thing, used: gone.append((thing, used))), gone


def test_who_has_it_keeps_it_and_who_comes_later_gets_the_new_one():
    old, new = Book(), Book()
    books, gone = shelf(old)
    with books.lease() as mine:
        books.exchange(new)
        with books.lease() as yours:
            assert (mine, yours) == (old, new)
            assert books.used == [new, old]
        assert gone == []
    assert gone == [(old, [new])]


def test_it_goes_with_the_last_who_had_it():
    old, new = Book(), Book()
    books, gone = shelf(old)
    with books.lease():
        with books.lease():
            books.exchange(new)
        assert gone == []
    assert gone == [(old, [new])]


def test_what_nobody_has_goes_at_once():
    old, new = Book(), Book()
    books, gone = shelf(old)
    with books.lease():
        pass
    assert gone == []
    books.exchange(new)
    assert gone == [(old, [new])]


def test_two_of_which_one_was_never_lent_go_each_in_its_time():
    first, second, third = Book(), Book(), Book()
    books, gone = shelf(first)
    with books.lease():
        books.exchange(second)
        books.exchange(third)
        assert gone == [(second, [third, first])]
    assert gone[1:] == [(first, [third])]
