// Package plan decides what a shift of the server system does: from the seven
// PSS files and the wanted conditions to ordered steps. It is pure: the files in,
// the steps out.
//
// The layout of a group in a condition is a function of its home layout, its
// bases B1..Bn and its spares alone, and a plan is the difference between today
// and the wanted layouts. So a plan that was applied and is made again is empty,
// and a shift that stopped half way is finished by the next cycle.
//
//   - Moderate, Fig. 3(a): every VIP at home.
//   - PS1, Fig. 3(b)-(h): redundant on the bases. A home on a base keeps its VIP;
//     a base without one gets a spare for a displaced VIP (3(c): Ws on RS2 for W2);
//     displaced VIPs left go to the lightest server; a group of two VIPs or more
//     never ends on one real server.
//   - PS2, Fig. 4(b)-(h): not redundant, on B1. The homes there take all VIPs
//     (4(b): M1 those of M2), or else the spare that PS1 has there (4(d): Fs).
//
// A real server that then hosts nothing is suspended (3(g), 3(h): RS3; 4(h): RS2
// too), and what a wider layout needs is woken first. A spare that holds a VIP
// again is started; one whose group goes to Moderate is stopped and leaves
// access-stop. One whose real server is suspended is stopped too (4(h): Ws), but
// its row stays.
//
// Left alone are VIPs whose home is in trouble: it stands in separation, or its
// real server is in neither real file. They stay with whoever serves them, and
// their homes count as no servers of the layout. A VIP that nobody serves is in
// the layout, but it belongs to the owner of its separation row: no step moves it.
//
// A refused group keeps its condition and everything it has; the others go on.
package plan
