"use strict";
// The timeline around the contradiction: moved by dragging, zoomed by the wheel or the keyboard.
(() => {
  const source = document.getElementById("timeline-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const lanes = document.querySelector("#timeline .closeup");
  const processes = [...new Set(data.rows.map((row) => row[0]))];
  const rowHeight = 26;
  const margin = Math.max(1, (data.to - data.from) / 10);
  const home = [data.from - margin, data.to + margin];
  let view = [...home];

  lanes.style.height = processes.length * rowHeight + 28 + "px";
  const bars = data.rows.map(([process, from, to, outcome, named, label]) => {
    const bar = document.createElement("span");
    bar.className = "deed " + outcome + (named ? " named" : "");
    bar.style.top = processes.indexOf(process) * rowHeight + 3 + "px";
    bar.textContent = label;
    const ms = (nanos) => ((data.origin + nanos) / 1e6).toFixed(3) + " ms";
    bar.title = `process ${process}: ${label}\n${ms(from)} to ${to === null ? "unknown" : ms(to)}`;
    lanes.append(bar);
    return [bar, from, to];
  });
  for (const [index, process] of processes.entries()) {
    const name = document.createElement("span");
    name.className = "lane";
    name.style.top = index * rowHeight + 3 + "px";
    name.textContent = "p" + process;
    lanes.append(name);
  }
  const scale = document.createElement("span");
  scale.className = "scale";
  lanes.append(scale);

  const draw = () => {
    const length = view[1] - view[0];
    const place = (at) => ((at - view[0]) / length) * 100;
    for (const [bar, from, to] of bars) {
      const [left, right] = [Math.max(-1, place(from)), Math.min(101, to === null ? 101 : place(to))];
      bar.hidden = right < 0 || left > 100;
      bar.style.left = left + "%";
      bar.style.width = Math.max(0.2, right - left) + "%";
    }
    const ms = (nanos) => ((data.origin + nanos) / 1e6).toFixed(3) + " ms";
    scale.textContent = ms(view[0]) + " to " + ms(view[1]);
  };
  const zoom = (factor, around) => {
    const [from, to] = view;
    const middle = from + (to - from) * around;
    const length = Math.max(10, (to - from) * factor);
    view = [middle - length * around, middle + length * (1 - around)];
    draw();
  };
  const move = (share) => {
    const by = (view[1] - view[0]) * share;
    view = [view[0] + by, view[1] + by];
    draw();
  };
  lanes.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = lanes.getBoundingClientRect();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, (event.clientX - box.left) / box.width);
  }, { passive: false });
  let dragged = null;
  lanes.addEventListener("pointerdown", (event) => { dragged = event.clientX; lanes.setPointerCapture(event.pointerId); });
  lanes.addEventListener("pointerup", () => { dragged = null; });
  lanes.addEventListener("pointermove", (event) => {
    if (dragged === null) return;
    move((dragged - event.clientX) / lanes.getBoundingClientRect().width);
    dragged = event.clientX;
  });
  lanes.addEventListener("keydown", (event) => {
    const keys = { "+": () => zoom(0.8, 0.5), "-": () => zoom(1.25, 0.5), ArrowLeft: () => move(-0.1), ArrowRight: () => move(0.1) };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  document.getElementById("timeline-jump").addEventListener("click", () => { view = [...home]; draw(); lanes.focus(); });
  draw();
})();
