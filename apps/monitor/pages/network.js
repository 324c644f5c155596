// The picture of the network. All text comes in as data and is set as text; nothing here makes HTML out of it.
const WIDTH = 124, HEIGHT = 44, MOST_DOTS = 80, DURATION = 1100;

export default {
  template: `
    <div class="net" ref="box">
      <svg :width="width" :height="height" :viewBox="'0 0 ' + width + ' ' + height" role="group" :aria-label="words">
        <g v-for="link in lines" :key="link.key" :class="['net-link', link.up ? 'up' : 'down']">
          <title>{{ link.title }}</title>
          <line :x1="link.x1" :y1="link.y1" :x2="link.x2" :y2="link.y2" />
          <g v-if="!link.up" :transform="'translate(' + link.mx + ',' + link.my + ')'">
            <circle r="10" /><path d="M-4-4 4 4M4-4-4 4" />
          </g>
          <g v-if="link.waiting" class="net-queue" :transform="'translate(' + link.mx + ',' + (link.my + 24) + ')'">
            <rect :x="-link.label.length * 3.6 - 7" y="-10" :width="link.label.length * 7.2 + 14" height="20" rx="10" />
            <text y="4">{{ link.label }}</text>
          </g>
        </g>
        <g ref="dots" aria-hidden="true"></g>
        <a v-for="node in spots" :key="node.name" :href="node.href" :class="['net-node', node.condition]"
           :transform="'translate(' + node.px + ',' + node.py + ')'" :aria-label="node.aria" :data-node="node.name">
          <title>{{ node.aria }}</title>
          <rect :x="-W / 2" :y="-H / 2" :width="W" :height="H" rx="12" />
          <g :transform="'translate(' + (-W / 2 + 18) + ',0)'" class="net-mark">
            <circle v-if="node.condition !== 'away'" r="5.5" />
            <path v-else d="M-5-5 5 5M5-5-5 5" />
          </g>
          <text :x="-W / 2 + 32" y="-2" class="net-name">{{ clip(node.name, 11) }}</text>
          <text :x="-W / 2 + 32" y="13" class="net-note">{{ node.line }}</text>
          <g v-for="(user, index) in node.users" :key="index" class="net-user" :class="{ online: user.online }"
             :transform="'translate(' + node.ux + ',' + (node.uy + index * 19) + ')'">
            <circle cx="4" cy="-4" r="4" /><text x="14">{{ clip(user.name, 18) }}</text>
          </g>
          <text v-if="node.more" class="net-note" :x="node.ux + 14" :y="node.uy + node.users.length * 19">
            and {{ node.more }} more</text>
        </a>
      </svg>
    </div>`,
  props: { nodes: Array, links: Array, words: String },
  data: () => ({ width: 800, height: 420, W: WIDTH, H: HEIGHT }),
  computed: {
    isLine() { return this.links.length < this.nodes.length; },
    narrow() { return this.width < 600; },
    spots() {
      return this.nodes.map((node, index) => {
        // On a narrow screen the picture is turned: what stood beside stands below.
        const [x, y] = this.narrow ? [node.y, node.x] : [node.x, node.y];
        const beside = this.narrow && this.nodes.length <= 6;
        // Few of them stand below each other, with their users beside them; round a ring each second one to the right.
        const left = beside ? WIDTH / 2 + 4 + (this.isLine || index % 2 === 0 ? 0 : 56) : x * (this.width - WIDTH - 16) + WIDTH / 2 + 8;
        const top = beside ? (index + 0.5) * this.height / this.nodes.length - 10 : y * (this.height - 60) + 20;
        const line = node.condition === "up" ? node.waiting.toLocaleString("en") + " waiting"
          : node.condition === "away" ? "no answer" : "not watched";
        return { ...node, line, px: left, py: top,
          ux: beside ? WIDTH / 2 + 12 : -WIDTH / 2 + 14, uy: beside ? -HEIGHT / 2 + 10 : HEIGHT / 2 + 20,
          aria: [node.name, line, node.note, node.users.map((u) => u.name + (u.online ? " online" : " away")).join(", ")]
            .filter(Boolean).join("; ") };
      });
    },
    lines() {
      const at = Object.fromEntries(this.spots.map((node) => [node.name, node]));
      return this.links.filter((link) => at[link.a] && at[link.b]).map((link) => {
        const a = at[link.a], b = at[link.b];
        const label = link.waiting.toLocaleString("en") + " queued";
        return { ...link, key: link.a + "\n" + link.b, x1: a.px, y1: a.py, x2: b.px, y2: b.py, label,
          mx: (a.px + b.px) / 2, my: (a.py + b.py) / 2,
          title: link.a + " – " + link.b + (link.up ? ": up" : ": down, " + link.reason) };
      });
    },
  },
  mounted() {
    this.observer = new ResizeObserver(() => this.measure());
    this.observer.observe(this.$refs.box);
    this.measure();
  },
  unmounted() { this.observer.disconnect(); },
  watch: { nodes() { this.measure(); } },
  methods: {
    clip(text, most) { return text.length > most ? text.slice(0, most - 1) + "\u2026" : text; },
    measure() {
      this.width = Math.max(280, this.$refs.box.clientWidth);
      const count = this.nodes.length;
      this.height = this.width < 600 ? Math.max(300, Math.min(count, 12) * 130)
        : count <= 3 ? 260 : Math.min(680, 380 + count * 14);
    },
    // flows: [[from, to, messages], ...]; to "" is a pulse at the node itself.
    move(flows) {
      if (document.hidden || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
      const at = Object.fromEntries(this.spots.map((node) => [node.name, node]));
      for (const [from, to, messages] of flows) {
        if (!at[from]) continue;
        if (!to) this.pulse(at[from]);
        else if (at[to]) for (let i = 0; i < Math.min(messages, 6); i++) this.dot(at[from], at[to], i, messages);
      }
    },
    shape(tag, attributes) {
      const dots = this.$refs.dots;
      if (dots.childElementCount >= MOST_DOTS) return null;
      const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
      dots.appendChild(made);
      return made;
    },
    dot(a, b, index, messages) {
      const circle = this.shape("circle", { r: messages > 50 ? 6 : 4.5, class: "net-dot" });
      if (!circle) return;
      const step = (spot, opacity) => ({ transform: `translate(${spot.px}px, ${spot.py}px)`, opacity });
      circle.animate([step(a, 1), step(b, 1)],
        { duration: DURATION, delay: index * 90, easing: "ease-in-out", fill: "both" }).onfinish = () => circle.remove();
    },
    pulse(node) {
      const ring = this.shape("rect", { x: node.px - WIDTH / 2, y: node.py - HEIGHT / 2, width: WIDTH, height: HEIGHT,
        rx: 12, class: "net-pulse" });
      if (!ring) return;
      ring.style.transformOrigin = `${node.px}px ${node.py}px`;
      ring.animate([{ transform: "scale(1)", opacity: 0.7 }, { transform: "scale(1.18, 1.5)", opacity: 0 }],
        { duration: 900, easing: "ease-out" }).onfinish = () => ring.remove();
    },
  },
};
