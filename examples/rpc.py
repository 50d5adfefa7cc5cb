"""Remote calls, a length of four bytes and then JSON, both ways: python examples/rpc.py"""

import json

import workerkit

METHODS = {"add": lambda *numbers: sum(numbers), "upper": str.upper}


class Rpc(workerkit.MessageProtocol):
    limit = 64 * 1024

    def parse(self, buffer):
        end = 4 + int.from_bytes(buffer[:4])
        if end > self.limit:
            raise workerkit.ProtocolError(f"a call may have {self.limit} bytes")
        if len(buffer) < end:
            return None
        call = bytes(buffer[4:end])
        del buffer[:end]
        return call

    def answer(self, call):
        try:
            method, *arguments = json.loads(call)
            answer = {"result": METHODS[method](*arguments)}
        except (ValueError, TypeError, KeyError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        data = json.dumps(answer).encode()
        return len(data).to_bytes(4) + data


if __name__ == "__main__":
    workerkit.run(Rpc(), bind="127.0.0.1:7002", workers=2, signals=True)
