// A view that fails takes only itself down, and says so: the rest of the page, and the way elsewhere, stay.

import { Component, type ComponentChildren } from "preact";

export class Boundary extends Component<{ children: ComponentChildren }, { failure: string | null }> {
  override state = { failure: null };

  static override getDerivedStateFromError(error: unknown) { return { failure: String(error) }; }

  override componentDidCatch(error: unknown): void { console.error(error); }

  override render() {
    const { failure } = this.state;
    if (failure === null) return this.props.children;
    return (
      <div class="notice error" role="alert">
        <p><strong>This page cannot show what the scheduler answered.</strong></p>
        <p>{failure}</p>
        <p>Page and scheduler may be of different versions: reload the page. If that does not help, please report the line above.</p>
      </div>
    );
  }
}
