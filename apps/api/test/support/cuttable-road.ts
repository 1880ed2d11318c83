import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A way to PostgreSQL that can be cut, and made to swallow what it is told. */
export class CuttableRoad {
  private readonly sockets = new Set<Socket>();
  private state: 'open' | 'cut' | 'silent' = 'open';
  private onSwallowed: (bytes: Buffer) => void = () => {};

  private constructor(private readonly server: Server) {}

  static async to(url: string): Promise<{ road: CuttableRoad; url: string }> {
    const { hostname, port } = new URL(url);
    const server = createServer();
    const road = new CuttableRoad(server);
    server.on('connection', (socket) => {
      road.keep(socket);
      if (road.state === 'cut') socket.destroy();
      if (road.state === 'silent') socket.on('data', (bytes) => road.onSwallowed(bytes));
      if (road.state !== 'open') return;
      const upstream = connect(Number(port), hostname);
      road.keep(upstream);
      socket.pipe(upstream).pipe(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const cuttable = new URL(url);
    cuttable.port = String((server.address() as AddressInfo).port);
    return { road, url: cuttable.href };
  }

  set(state: 'open' | 'cut' | 'silent'): void {
    this.state = state;
    for (const socket of this.sockets) {
      // What is sent over a silent road is taken and forgotten; over a cut one it is refused.
      if (state === 'silent')
        socket
          .unpipe()
          .on('data', (bytes) => this.onSwallowed(bytes))
          .resume();
      else socket.destroy();
    }
  }

  /**
   * Swallows what is sent, until that was which has `text` in it, and then lets new connections through: those that there
   * were stay silent and open on both sides, as to a host that vanished.
   */
  async lose<Result>(text: string, send: () => Promise<Result>): Promise<{ sent: Promise<Result> }> {
    const swallowed = new Promise<void>((resolve) => {
      this.onSwallowed = (bytes) => {
        if (bytes.includes(text)) resolve();
      };
    });
    this.set('silent');
    const sent = send();
    // Where there was no connection to send it over, it ends with the wait for one.
    await Promise.race([swallowed, sent.catch(() => {})]);
    this.state = 'open';
    return { sent };
  }

  close(): void {
    this.set('cut');
    this.server.close();
  }

  private keep(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('error', () => {}); // Both ends are cut on purpose.
    socket.on('close', () => this.sockets.delete(socket));
  }
}
