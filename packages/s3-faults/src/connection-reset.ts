import type { Socket } from 'node:net';

/** RST at once, not FIN: the client sees ECONNRESET, and what was not sent yet is dropped. */
export function resetConnection(socket: Socket): void {
  if (socket.writableEnded) {
    socket.destroy(); // A socket whose FIN is on its way cannot be reset any more.
    return;
  }
  // resetAndDestroy alone ends the stream first. It would wait for writes that the client does not read, and a destroy by the
  // HTTP server in the meantime would fail to reset and leave the connection open for ever.
  socket.destroySoon = () => socket.destroy();
  socket.resetAndDestroy();
}
