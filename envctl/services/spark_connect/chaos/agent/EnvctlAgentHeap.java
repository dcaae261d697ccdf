import java.io.RandomAccessFile;
import java.util.ArrayList;
import java.util.List;

/**
 * Holds all of the heap but so much; it has it when it has `probed`. It lets go when its file gets longer, too: to look
 * at that takes no memory, which a request does.
 */
class EnvctlAgentHeap extends EnvctlAgent.Force {
  private List<byte[]> held = new ArrayList<>(1 << 14);
  private RandomAccessFile file;

  EnvctlAgentHeap(EnvctlAgent.Wanted wanted) {
    super(wanted);
  }

  @Override
  void put() throws Exception {
    file = new RandomAccessFile(wanted.get("lease"), "r");
  }

  @Override
  boolean look() throws Exception {
    if (probed.get() == 0) {
      fill();
      probed.set(1);
    }
    return file.length() == 0;
  }

  /** Large ones first: they go straight to where what lives long is kept. */
  private void fill() throws Exception {
    System.gc();
    for (int size : new int[] {1 << 24, 1 << 20}) {
      while (!over && file.length() == 0 && EnvctlAgent.free() - size >= wanted.number("leave") && hold(size)) {
        hurt.addAndGet(size);
      }
    }
    System.gc();
  }

  private boolean hold(int size) {
    try {
      return held.add(new byte[size]);
    } catch (OutOfMemoryError full) {
      return false;
    }
  }

  @Override
  void undo() throws Exception {
    held = null;
    file.close();
  }
}
