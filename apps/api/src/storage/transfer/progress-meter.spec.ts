import { describe, expect, it } from '@jest/globals';
import { ProgressMeter } from './progress-meter.js';

function open() {
  const clock = { ms: 0 };
  const meter = new ProgressMeter(() => clock.ms);
  return { clock, meter };
}

describe('ProgressMeter', () => {
  it('tells the rate of the last five seconds and the time that is left', () => {
    const { clock, meter } = open();
    meter.totalBytes = 20_000;
    expect(meter.read()).toEqual({ bytes: 0, totalBytes: 20_000, bytesPerSecond: null, secondsLeft: null });
    for (let second = 1; second <= 10; second += 1) {
      clock.ms = second * 1_000;
      meter.add(second <= 5 ? 100 : 1_000);
    }
    const { bytes, bytesPerSecond, secondsLeft } = meter.read();
    expect({ bytes, bytesPerSecond }).toEqual({ bytes: 5_500, bytesPerSecond: 1_000 });
    expect(secondsLeft).toBe(14.5);
  });

  it('says four times a second that there is news, and only of bytes that are new', () => {
    const { clock, meter } = open();
    const news = Array.from({ length: 100 }, () => {
      clock.ms += 10;
      return meter.add(1);
    });
    expect(news.filter(Boolean)).toHaveLength(4);
    expect([meter.isNews(), meter.isNews()]).toEqual([true, false]);
  });

  it('begins anew with its source', () => {
    const { clock, meter } = open();
    clock.ms = 1_000;
    meter.add(500);
    meter.restart();
    expect(meter.read()).toMatchObject({ bytes: 0, bytesPerSecond: null });
  });
});
