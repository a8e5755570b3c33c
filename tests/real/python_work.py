"""JSON, threads and processes; prints what can be compared."""
import hashlib
import json
import multiprocessing
import threading


def document(seed):
    rows = [{"id": i, "name": f"row {i * seed}", "tags": [str(i % n) for n in range(1, 9)]} for i in range(2000)]
    text = json.dumps({"seed": seed, "rows": rows})
    assert json.loads(text)["rows"][7]["id"] == 7
    return hashlib.sha256(text.encode()).hexdigest()


def in_threads(count):
    found = {}

    def work(number):
        found[number] = document(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[number] for number in range(count)]


if __name__ == "__main__":
    alone = [document(number) for number in range(12)]
    assert in_threads(12) == alone
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(3) as pool:
            assert pool.map(document, range(12)) == alone
    words = {}
    for number in range(400_000):
        words.setdefault(f"word {number % 5003}", []).append(number)
    print(len(words), sum(map(len, words.values())), alone[-1])
