/** Node's inspector as a test uses it: to make a worker thread of another process do something that it never does by itself. */

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { sessionId?: string; message?: string; workerInfo?: { title: string } };
}

/**
 * Evaluates `expression` in the first worker thread whose title matches, of a process that was started with
 * `NODE_OPTIONS=--inspect=127.0.0.1:PORT`. Resolves when the worker has answered, or the process is gone before it could.
 */
export async function evaluateInWorker(port: number, title: RegExp, expression: string): Promise<void> {
  const targets = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as {
    webSocketDebuggerUrl: string;
  }[];
  const socket = new WebSocket(targets[0]!.webSocketDebuggerUrl);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  try {
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`no worker ${title}`)), 10_000);
      socket.onmessage = (event) => {
        const msg = JSON.parse(String(event.data)) as Message;
        const p = msg.params;
        if (msg.method === 'NodeWorker.receivedMessageFromWorker' && /"id":1\b/.test(p?.message ?? '')) resolve();
        if (msg.method !== 'NodeWorker.attachedToWorker' || !title.test(p?.workerInfo?.title ?? '')) return;
        clearTimeout(late);
        const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression } });
        socket.send(
          JSON.stringify({
            id: 2,
            method: 'NodeWorker.sendMessageToWorker',
            params: { sessionId: p!.sessionId, message },
          }),
        );
      };
      socket.onclose = () => resolve();
      socket.send(JSON.stringify({ id: 1, method: 'NodeWorker.enable', params: { waitForDebuggerOnStart: false } }));
    });
  } finally {
    socket.close();
  }
}
